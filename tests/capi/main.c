#include <stdlib.h>

#include "check.h"

int checks = 0;
int failures = 0;
unsigned char* packed = NULL;
size_t packed_size = 0;

static int read_file(const char* path) {
    FILE* file = fopen(path, "rb");
    long length = 0;
    if (file == NULL) return 0;
    if (fseek(file, 0, SEEK_END) == 0) length = ftell(file);
    if (length > 0 && fseek(file, 0, SEEK_SET) == 0) packed = malloc((size_t)length);
    if (packed != NULL) packed_size = fread(packed, 1, (size_t)length, file);
    fclose(file);
    return packed_size > 0 && packed_size == (size_t)length;
}

desk open_desk(void) {
    desk d = {NULL, NULL, NULL, NULL};
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    OK(opspilot_bundle_load(packed, packed_size, &d.bundle, &problem));
    OK(opspilot_engine_new(d.bundle, &d.engine, &problem));
    OK(opspilot_workspace_new(&d.workspace, &problem));
    OK(opspilot_decision_new(&d.decision, &problem));
    return d;
}

void close_desk(desk* d) {
    opspilot_decision_free(d->decision);
    opspilot_workspace_free(d->workspace);
    opspilot_engine_free(d->engine);
    opspilot_bundle_free(d->bundle);
}

void keep_schema(struct ArrowSchema* schema) { (void)schema; }
void keep_array(struct ArrowArray* array) { (void)array; }

int same_text(opspilot_text text, const char* expected) {
    return text.size == strlen(expected) && (text.size == 0 || memcmp(text.data, expected, text.size) == 0);
}

int same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

int same_decision(const opspilot_decision* a, const opspilot_decision* b) {
    const opspilot_text left = opspilot_decision_action(a);
    const opspilot_text right = opspilot_decision_action(b);
    size_t i;
    if (opspilot_decision_verdict(a) != opspilot_decision_verdict(b)) return 0;
    if (left.size != right.size || (left.size > 0 && memcmp(left.data, right.data, left.size) != 0)) return 0;
    if (!same_bits(opspilot_decision_probability(a), opspilot_decision_probability(b))) return 0;
    if (opspilot_decision_ranked_count(a) != opspilot_decision_ranked_count(b)) return 0;
    if (opspilot_decision_reason_count(a) != opspilot_decision_reason_count(b)) return 0;
    for (i = 0; i < opspilot_decision_ranked_count(a); ++i) {
        opspilot_ranked x = OPSPILOT_RANKED_INIT;
        opspilot_ranked y = OPSPILOT_RANKED_INIT;
        if (opspilot_decision_ranked(a, i, &x, NULL) != OPSPILOT_OK) return 0;
        if (opspilot_decision_ranked(b, i, &y, NULL) != OPSPILOT_OK) return 0;
        if (x.candidate != y.candidate || x.verdict != y.verdict || x.allowed != y.allowed || x.reasons != y.reasons) return 0;
        if (!same_bits(x.score, y.score) || !same_bits(x.probability, y.probability)) return 0;
        if (x.action.size != y.action.size || memcmp(x.action.data, y.action.data, x.action.size) != 0) return 0;
    }
    return 1;
}

int main(int argc, char** argv) {
    if (argc != 2 || !read_file(argv[1])) {
        fprintf(stderr, "usage: capi_test BUNDLE\n");
        return 2;
    }
    test_load();
    test_decide();
    test_columns();
    test_batch();
    test_outcome();
    free(packed);
    printf("%d checks, %d failures\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
