/* Calls a kernel on arrays of 16 and 8 bits. Numbers of 16 bits are given and come back as their bits. */
#include "kernels.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

enum { N = 2, D = 5 };

static void call(const char *what, const uint16_t *w, const int8_t *q, uint16_t a, int8_t k) {
    /* 0, 1, -2, 0.5, 3 and 100, infinity, -infinity, NaN, 2^-133 as bf16. */
    static const uint16_t x[N * D] = {0x0000, 0x3f80, 0xc000, 0x3f00, 0x4040,
                                      0x42c8, 0x7f80, 0xff80, 0x7fc0, 0x0001};
    static const uint8_t u[D] = {1, 2, 3, 4, 200};
    static char memory[1 << 16];
    uint16_t y[N * D];
    int8_t z[N * D];
    uint8_t s;
    int code = act_small(x, w, q, u, a, k, y, z, &s, N, D, memory, sizeof memory);
    printf("%s: %d, s = %" PRIu8 "\n", what, code, s);
    for (int i = 0; i < N * D; i++) {
        printf("  y = 0x%04" PRIx16 ", z = %" PRId8 "\n", y[i], z[i]);
    }
}

int main(void) {
    /* 1, 2, 0.5, 65504 and 2^-24 as f16. */
    static const uint16_t w[D] = {0x3c00, 0x4000, 0x3800, 0x7bff, 0x0001};
    static const int8_t q[D] = {1, -128, 127, 0, -1};
    call("given", w, q, 0x4000, 3);
    call("left out", NULL, NULL, 0x3f00, -2);
    return 0;
}
