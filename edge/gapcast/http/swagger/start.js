// validatorUrl: null, for a gateway's document is sent to no one.
SwaggerUIBundle({ url: "openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
