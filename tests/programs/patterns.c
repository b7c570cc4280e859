// Patterns that are compiled to machine code.
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>

int main(void) {
    const char *patterns[] = {"(a+)+b", "(\\w+)\\s(?=\\d)", "^(?:x|y)*z$", "[[:alpha:]]+?\\d{2,4}", "(?i)HELLO (?<n>.*)"};
    char text[10000];
    for (int i = 0; i < 9999; i++) text[i] = "abz 12hello Xyq\n"[i * 7 % 16];
    for (int p = 0; p < 5; p++) {
        int error, count = 0;
        long places = 0;
        PCRE2_SIZE at = 0;
        pcre2_code *code = pcre2_compile((PCRE2_SPTR)patterns[p], PCRE2_ZERO_TERMINATED, 0, &error, &at, 0);
        int compiled = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
        pcre2_match_data *match = pcre2_match_data_create_from_pattern(code, 0);
        for (at = 0; at < 9999 && pcre2_match(code, (PCRE2_SPTR)text, 9999, at, 0, match, 0) > 0; count++) {
            PCRE2_SIZE *v = pcre2_get_ovector_pointer(match);
            places += v[0];
            at = v[1] > at ? v[1] : at + 1;
        }
        printf("%d: compiled %d, %d matches, %ld\n", p, compiled, count, places);
    }
}
