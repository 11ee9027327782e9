/* The trees of the nightly refit: Forest.predict of forest.py. */

#include <math.h>

#include "gapcast.h"

/* Number of trees that descend together: each step waits for memory, and the steps of different trees do not depend on
   each other. */
#define TREES_AT_ONCE 8

struct forest {
    /* Nodes [M], trees [T] and the first tree of each output; `leaves` [T] is scratch. */
    const int32_t *feature;
    const double *threshold;
    const int32_t *left;
    const uint8_t *nan_left;
    const double *value;
    const int32_t *roots, *first_trees;
    double *leaves;
    /* The windows' columns [N, n_features], and the outputs [N, n_outputs], kW. */
    const double *columns;
    double *outputs;
    int64_t n_features, n_trees, n_outputs, depth;
};

/* Returns the node after `node` for a window with `columns`; a leaf leads to itself. */
static inline int32_t next_node(const struct forest *forest, int32_t node, const double *columns)
{
    const double found = columns[forest->feature[node]];
    const int goes_left = (found <= forest->threshold[node]) | ((isnan(found) != 0) & forest->nan_left[node]);
    return forest->left[node] + !goes_left;
}

static void find_leaves(const struct forest *forest, int64_t n_trees, const double *columns)
{
    int64_t tree = 0;
    for (; tree + TREES_AT_ONCE <= n_trees; tree += TREES_AT_ONCE) {
        int32_t nodes[TREES_AT_ONCE];
        for (int64_t i = 0; i < TREES_AT_ONCE; i++)
            nodes[i] = forest->roots[tree + i];
        for (int64_t level = 0; level < forest->depth; level++)
            for (int64_t i = 0; i < TREES_AT_ONCE; i++)
                nodes[i] = next_node(forest, nodes[i], columns);
        for (int64_t i = 0; i < TREES_AT_ONCE; i++)
            forest->leaves[tree + i] = forest->value[nodes[i]];
    }
    for (; tree < n_trees; tree++) {
        int32_t node = forest->roots[tree];
        for (int64_t level = 0; level < forest->depth; level++)
            node = next_node(forest, node, columns);
        forest->leaves[tree] = forest->value[node];
    }
}

EXPORT int64_t gapcast_evaluate_forest(const struct forest *forest, int64_t n_rows)
{
    for (int64_t row = 0; row < n_rows; row++) {
        double *outputs = forest->outputs + row * forest->n_outputs;
        find_leaves(forest, forest->n_trees, forest->columns + row * forest->n_features);
        for (int64_t output = 0; output < forest->n_outputs; output++) {
            /* The order of numpy's add.reduceat: the first value, then the sum of the others. */
            const int64_t first = forest->first_trees[output];
            const int64_t end = output + 1 < forest->n_outputs ? forest->first_trees[output + 1] : forest->n_trees;
            outputs[output] = forest->leaves[first] + pairwise_sum(forest->leaves + first + 1, end - first - 1);
        }
    }
    return 0;
}
