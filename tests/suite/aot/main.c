/*
 * Calls the kernels of kernels.act. argv[1]: numbers to take, as floats; argv[2]: where the results go. What the
 * calls return is printed.
 */
#include "kernels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

enum { ROWS = 5, D = 1003, K = 3, H = 6 };

static float x[ROWS * D], gamma_[D], beta_[D], y[ROWS * D], m[ROWS];
static double pairs_x[2 * K * H], pairs_w[H / 2], total[K], rows[2 * K];
static char memory[1 << 20];
static FILE *results;

static void say(const char *what, long long code) {
    printf("%s: %lld\n", what, code);
}

/* What a call that succeeds has written. */
static void keep(const char *what, int code, const void *data, size_t bytes) {
    say(what, code);
    fwrite(data, 1, bytes, results);
}

static void read_all(const char *path) {
    FILE *file = fopen(path, "rb");
    size_t got = 0;
    if (file) {
        got += fread(x, sizeof(float), ROWS * D, file);
        got += fread(gamma_, sizeof(float), D, file);
        got += fread(beta_, sizeof(float), D, file);
        fclose(file);
    }
    if (got != ROWS * D + 2 * D) {
        exit(1);
    }
    for (int i = 0; i < 2 * K * H; i++) {
        pairs_x[i] = x[i];
    }
    for (int i = 0; i < H / 2; i++) {
        pairs_w[i] = beta_[i];
    }
}

static void results_of_all(void) {
    keep("softmax", act_softmax(x, y, ROWS, D, NULL, 0), y, sizeof y);
    keep("layer_norm", act_layer_norm(x, gamma_, beta_, 1e-3f, y, m, ROWS, D, NULL, 0), y, sizeof y);
    fwrite(m, 1, sizeof m, results);
    int64_t bytes = act_layer_norm_workspace(ROWS, D);
    void *own = malloc((size_t)bytes);
    keep("layer_norm with defaults", act_layer_norm(x, NULL, NULL, 1e-5f, y, m, ROWS, D, own, bytes), y, sizeof y);
    free(own);
    keep("pairs", act_pairs(pairs_x, pairs_w, 0, total, rows, K, H, memory + 1, sizeof memory - 1), total, sizeof total);
    fwrite(rows, 1, sizeof rows, results);
    keep("pairs doubled", act_pairs(pairs_x, pairs_w, 2, total, rows, K, H, memory, sizeof memory), total, sizeof total);
    keep("spread", act_spread(x, y, ROWS, D, memory, sizeof memory), y, ROWS * sizeof(float));
    keep("guarded, short rows", act_guarded(x, y, ROWS, 8, NULL, 0), y, ROWS * 8 * sizeof(float));
    keep("guarded, long rows", act_guarded(x, y, ROWS, 9, NULL, 0), y, ROWS * 9 * sizeof(float));
    memcpy(y, x, sizeof y);
    keep("softmax in place", act_softmax(y, y, ROWS, D, NULL, 0), y, sizeof y);
}

/* Subnormals flushed, rounding towards zero. */
static void results_in_another_mode(void) {
    unsigned before = _mm_getcsr();
    unsigned other = (before & ~0x3fu) | 0xe040;
    _mm_setcsr(other);
    int code = act_softmax(x, y, ROWS, D, NULL, 0);
    unsigned after = _mm_getcsr();
    _mm_setcsr(before);
    keep("softmax in another mode", code, y, sizeof y);
    say("the mode is as it was", (after & ~0x3fu) == (other & ~0x3fu));
}

static void sizes(void) {
    say("negative size", act_softmax(x, y, -1, D, NULL, 0));
    say("size of 2^31", act_softmax(x, y, 1, INT64_C(1) << 31, NULL, 0));
    say("smallest size", act_softmax(x, y, 1, INT64_MIN, NULL, 0));
    say("negative size, workspace", act_softmax_workspace(ROWS, -1));
    say("2^48 elements", act_softmax(x, y, INT64_C(1) << 24, INT64_C(1) << 24, NULL, 0));
    say("2^48 elements, workspace", act_softmax_workspace(INT64_C(1) << 24, INT64_C(1) << 24));
    say("many elements", act_pairs(pairs_x, pairs_w, 0, total, rows, (INT64_C(1) << 30) - 1, (INT64_C(1) << 31) - 2, NULL, 0));
    say("odd size", act_pairs(pairs_x, pairs_w, 0, total, rows, K, 5, memory, sizeof memory));
    say("odd size, workspace", act_pairs_workspace(K, 5));
    say("computed size of 2^31", act_pairs(pairs_x, pairs_w, 0, total, rows, INT64_C(1) << 30, 0, memory, sizeof memory));
    say("no rows", act_softmax(NULL, NULL, 0, D, NULL, 0));
    say("empty rows", act_softmax(NULL, NULL, ROWS, 0, NULL, 0));
}

static void pointers(void) {
    say("no input", act_softmax(NULL, y, ROWS, D, NULL, 0));
    say("no output", act_softmax(x, NULL, ROWS, D, NULL, 0));
    say("one output of two", act_layer_norm(x, gamma_, beta_, 1e-3f, y, NULL, ROWS, D, NULL, 0));
    say("overlap", act_softmax(y + 1, y, 2, 100, NULL, 0));
    say("neighbours", act_softmax(y, y + 200, 2, 100, NULL, 0));
    say("results overlap", act_layer_norm(x, gamma_, beta_, 1e-3f, y, y + 3, ROWS, D, NULL, 0));
    say("another parameter in place", act_layer_norm(x, y, beta_, 1e-3f, y, m, 1, D, NULL, 0));
}

static void workspaces(void) {
    int64_t bytes = act_layer_norm_workspace(ROWS, D), spread = act_spread_workspace(ROWS, D);
    say("softmax needs none", act_softmax_workspace(ROWS, D));
    say("layer_norm needs both arrays", bytes == 63 + 2 * ((4 * D + 63) / 64 * 64));
    say("no workspace", act_layer_norm(x, gamma_, NULL, 1e-5f, y, m, ROWS, D, NULL, bytes));
    say("nothing in it", act_layer_norm(x, gamma_, NULL, 1e-5f, y, m, ROWS, D, memory, 0));
    say("less than nothing", act_layer_norm(x, gamma_, NULL, 1e-5f, y, m, ROWS, D, memory, INT64_MIN));
    say("enough for one", act_layer_norm(x, gamma_, NULL, 1e-5f, y, m, ROWS, D, memory, bytes / 2 + 63));
    say("too little for two", act_layer_norm(x, NULL, NULL, 1e-5f, y, m, ROWS, D, memory, bytes / 2 + 63));
    /* At the worst address the size told is just enough. */
    char *worst = memory + (64 - (uintptr_t)memory % 64) + 1;
    say("just enough", act_spread(x, y, ROWS, D, worst, spread));
    say("one byte less", act_spread(x, y, ROWS, D, worst, spread - 1));
}

int main(int argc, char **argv) {
    if (argc != 3 || !(results = fopen(argv[2], "wb"))) {
        return 1;
    }
    read_all(argv[1]);
    results_of_all();
    results_in_another_mode();
    sizes();
    pointers();
    workspaces();
    return fclose(results) != 0;
}
