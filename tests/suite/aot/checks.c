/*
 * Calls the kernels of checks.act with positions outside and numbers out of range, and says what they return and
 * write. The last rows lie at the end of their memory.
 */
#include "kernels.h"

#include <math.h>
#include <stdio.h>

enum { ROWS = 7, D = 3 };

static void gathers(void) {
    static const int32_t at[ROWS] = {0, 2, 3, -1, INT32_MAX, INT32_MIN, 1};
    float x[ROWS * D], y[ROWS];
    int32_t k[ROWS * D], z[ROWS];
    for (int i = 0; i < ROWS * D; i++) {
        x[i] = (float)i;
        k[i] = i;
    }
    printf("picked: %d\n", act_picked(x, at, y, ROWS, D, NULL, 0));
    printf("labels: %d\n", act_labels(k, at, z, ROWS, D, NULL, 0));
    for (int i = 0; i < ROWS; i++) {
        if (isnan(y[i])) {
            printf("nan %d\n", z[i]);
        } else {
            printf("%g %d\n", (double)y[i], z[i]);
        }
    }
    printf("no columns: %d\n", act_picked(NULL, at, y, ROWS, 0, NULL, 0));
    for (int i = 0; i < ROWS; i++) {
        printf(isnan(y[i]) ? "nan\n" : "a number\n");
    }
}

static void ranges(void) {
    static const float x[2] = {1, -3};
    static const float taus[] = {0.5f, 4, 1, 0.49999997f, 4.0000005f, 0, -1, INFINITY, -INFINITY, NAN};
    for (unsigned i = 0; i < sizeof taus / sizeof taus[0]; i++) {
        float y[2] = {99, 99};
        int code = act_tempered(x, taus[i], y, 2, NULL, 0);
        printf("tempered: %d, %g %g\n", code, (double)y[0], (double)y[1]);
    }
    static const double wide[2] = {1, -3}, others[] = {0.1, 10, 0.09999999999999999, 10.000000000000002, NAN};
    for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++) {
        double y[2] = {99, 99};
        int code = act_wide(wide, others[i], y, 2, NULL, 0);
        printf("wide: %d, %g %g\n", code, y[0], y[1]);
    }
}

int main(void) {
    gathers();
    ranges();
    return 0;
}
