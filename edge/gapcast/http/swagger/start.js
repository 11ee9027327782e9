// Swagger UI requests the routes at the root of the host; a proxy may serve them below a path prefix, as it does this page.
const root = new URL(".", location).href;

SwaggerUIBundle({
  url: "openapi.json",
  dom_id: "#docs",
  deepLinking: true,
  validatorUrl: null, // a gateway's document is sent to no one
  requestInterceptor: (request) => {
    if (!request.loadSpec) request.url = root + request.url.slice(`${location.origin}/`.length);
    return request;
  },
});
