/* Versions, bundles that load and bundles that must not, errors in structs of any size. */
#include <stdlib.h>

#include "check.h"

static void versions(void) {
    CHECK(opspilot_abi_version() == OPSPILOT_ABI_VERSION);
    CHECK(strlen(opspilot_version_string()) >= 5);
    CHECK(strcmp(opspilot_status_name(OPSPILOT_OK), "ok") == 0);
    CHECK(strcmp(opspilot_status_name(OPSPILOT_ERROR_BUNDLE), "bundle") == 0);
    CHECK(strcmp(opspilot_status_name(OPSPILOT_ERROR_MEMORY), "memory") == 0);
    CHECK(strcmp(opspilot_status_name(77), "unknown") == 0);
}

static void good_bundle(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_bundle* bundle = NULL;
    opspilot_text text = {NULL, 0};
    OK(opspilot_bundle_load(packed, packed_size, &bundle, &problem));
    CHECK(opspilot_bundle_fingerprint(bundle).size == 64);
    CHECK(same_text(opspilot_bundle_name(bundle), "support"));
    CHECK(same_text(opspilot_bundle_version(bundle), "1"));
    CHECK(same_text(opspilot_bundle_region(bundle), "eu"));
    OK(opspilot_bundle_describe_json(bundle, &text, &problem));
    CHECK(text.size > 100 && text.data[0] == '{');
    opspilot_bundle_free(bundle);
    opspilot_bundle_free(NULL);
}

/* A copy with one byte changed, or cut short. */
static opspilot_status load_bent(size_t size, size_t at, opspilot_error* problem) {
    opspilot_bundle* bundle = NULL;
    opspilot_status status;
    unsigned char* copy = malloc(packed_size);
    CHECK(copy != NULL);
    if (copy == NULL) return OPSPILOT_ERROR_MEMORY;
    memcpy(copy, packed, packed_size);
    if (at < packed_size) copy[at] = (unsigned char)(copy[at] ^ 0x20);
    status = opspilot_bundle_load(copy, size, &bundle, problem);
    CHECK(bundle == NULL);
    free(copy);
    return status;
}

static void bad_bundles(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_bundle* bundle = NULL;
    size_t step = packed_size / 97 + 1;
    size_t at;
    for (at = 0; at < packed_size; at += step) {
        CHECK(load_bent(packed_size, at, &problem) == OPSPILOT_ERROR_BUNDLE);
        CHECK(strncmp(problem.code, "bundle.", 7) == 0 && problem.message[0] != '\0');
        CHECK(load_bent(at, packed_size, &problem) == OPSPILOT_ERROR_BUNDLE);
    }
    CHECK(opspilot_bundle_load("hello", 5, &bundle, &problem) == OPSPILOT_ERROR_BUNDLE);
    CHECK(problem.status == OPSPILOT_ERROR_BUNDLE);
    CHECK(opspilot_bundle_load(NULL, 5, &bundle, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.null_argument") == 0);
    CHECK(opspilot_bundle_load(packed, packed_size, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(bundle == NULL);
}

static void error_structs(void) {
    opspilot_error small = OPSPILOT_ERROR_INIT;
    opspilot_bundle* bundle = NULL;
    struct {
        opspilot_error error;
        char more[16];
    } later = {OPSPILOT_ERROR_INIT, "untouched"};
    CHECK(opspilot_bundle_load("x", 1, &bundle, NULL) == OPSPILOT_ERROR_BUNDLE);
    small.size = 8;
    CHECK(opspilot_bundle_load("x", 1, &bundle, &small) == OPSPILOT_ERROR_BUNDLE);
    CHECK(small.code[0] == '\0' && small.status == 0);
    later.error.size = sizeof later; /* a caller of a later version */
    CHECK(opspilot_bundle_load("x", 1, &bundle, &later.error) == OPSPILOT_ERROR_BUNDLE);
    CHECK(later.error.code[0] != '\0' && strcmp(later.more, "untouched") == 0);
}

void test_load(void) {
    versions();
    good_bundle();
    bad_bundles();
    error_structs();
}
