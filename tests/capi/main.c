#include <stdlib.h>

#include "check.h"

int checks = 0;
int failures = 0;
unsigned char* packed = NULL;
size_t packed_size = 0;
unsigned char* personal = NULL;
size_t personal_size = 0;
unsigned char* signed_releases = NULL;
size_t signed_size = 0;

static int read_file(const char* path, unsigned char** bytes, size_t* size) {
    FILE* file = fopen(path, "rb");
    long length = 0;
    if (file == NULL) return 0;
    if (fseek(file, 0, SEEK_END) == 0) length = ftell(file);
    if (length > 0 && fseek(file, 0, SEEK_SET) == 0) *bytes = malloc((size_t)length);
    if (*bytes != NULL) *size = fread(*bytes, 1, (size_t)length, file);
    fclose(file);
    return *size > 0 && *size == (size_t)length;
}

desk open_desk(void) { return open_desk_on(packed, packed_size); }

desk open_desk_on(const unsigned char* bundle, size_t size) {
    desk d = {NULL, NULL, NULL, NULL};
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    OK(opspilot_bundle_load(bundle, size, &d.bundle, &problem));
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

int holds(opspilot_text text, const char* part) { return behind(text, part) != NULL; }

const char* behind(opspilot_text text, const char* part) {
    const size_t length = strlen(part);
    size_t i;
    for (i = 0; i + length <= text.size; ++i)
        if (memcmp(text.data + i, part, length) == 0) return text.data + i + length;
    return NULL;
}

opspilot_text text_of(const char* text) {
    opspilot_text made;
    made.data = text;
    made.size = text == NULL ? 0 : strlen(text);
    return made;
}

int same_bits(double a, double b) { return memcmp(&a, &b, sizeof a) == 0; }

static int same(opspilot_text a, opspilot_text b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static int same_explanation(const opspilot_decision* a, const opspilot_decision* b) {
    opspilot_explanation x = OPSPILOT_EXPLANATION_INIT;
    opspilot_explanation y = OPSPILOT_EXPLANATION_INIT;
    size_t i;
    if (opspilot_decision_explanation(a, &x, NULL) != OPSPILOT_OK) return 0;
    if (opspilot_decision_explanation(b, &y, NULL) != OPSPILOT_OK) return 0;
    if (x.asked != y.asked || x.contributions != y.contributions) return 0;
    if (!same(x.action, y.action) || !same(x.missing, y.missing) || !same(x.stage, y.stage) || !same(x.method, y.method))
        return 0;
    if (!same_bits(x.score, y.score) || !same_bits(x.base, y.base) || !same_bits(x.others, y.others)) return 0;
    for (i = 0; i < x.contributions; ++i) {
        opspilot_contribution p = OPSPILOT_CONTRIBUTION_INIT;
        opspilot_contribution q = OPSPILOT_CONTRIBUTION_INIT;
        if (opspilot_decision_contribution(a, i, &p, NULL) != OPSPILOT_OK) return 0;
        if (opspilot_decision_contribution(b, i, &q, NULL) != OPSPILOT_OK) return 0;
        if (!same(p.feature, q.feature) || !same_bits(p.contribution, q.contribution) || p.personal != q.personal) return 0;
    }
    return 1;
}

int same_decision(const opspilot_decision* a, const opspilot_decision* b) {
    size_t i;
    if (opspilot_decision_verdict(a) != opspilot_decision_verdict(b)) return 0;
    if (!same(opspilot_decision_action(a), opspilot_decision_action(b))) return 0;
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
        if (!same(x.action, y.action)) return 0;
    }
    return same_explanation(a, b);
}

int main(int argc, char** argv) {
    if (argc != 4 || !read_file(argv[1], &packed, &packed_size) || !read_file(argv[2], &personal, &personal_size) ||
        !read_file(argv[3], &signed_releases, &signed_size)) {
        fprintf(stderr, "usage: capi_test BUNDLE PERSONAL_BUNDLE SIGNED_RELEASES\n");
        return 2;
    }
    test_load();
    test_decide();
    test_columns();
    test_batch();
    test_explain();
    test_outcome();
    test_publishing();
    free(packed);
    free(personal);
    free(signed_releases);
    printf("%d checks, %d failures\n", checks, failures);
    return failures == 0 ? 0 : 1;
}
