/* Calls a kernel that was compiled ahead of time. README.md says how to build this; softmax.h says how to call. */
#include "softmax.h"

#include <stdio.h>

int main(void) {
    const float x[2][3] = {{1, 2, 3}, {1000, 1000, 1000}};
    float y[2][3];
    int code = act_softmax(&x[0][0], &y[0][0], 2, 3, NULL, 0);
    if (code != ACT_OK) {
        fprintf(stderr, "softmax: error %d\n", code);
        return 1;
    }
    for (int i = 0; i < 2; i++) {
        printf("%.6f %.6f %.6f\n", y[i][0], y[i][1], y[i][2]);
    }
    return 0;
}
