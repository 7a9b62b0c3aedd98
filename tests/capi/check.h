/* Checks for C tests, and what the test files share. */
#ifndef OPSPILOT_TESTS_CAPI_CHECK_H
#define OPSPILOT_TESTS_CAPI_CHECK_H

#include <stdio.h>
#include <string.h>

#include "opspilot.h"

extern int checks;
extern int failures;

#define CHECK(condition)                                                           \
    do {                                                                           \
        ++checks;                                                                  \
        if (!(condition)) {                                                        \
            ++failures;                                                            \
            fprintf(stderr, "%s:%d: CHECK(%s)\n", __FILE__, __LINE__, #condition); \
        }                                                                          \
    } while (0)

/* Fails with the message of `problem`, an opspilot_error, when the call does. */
#define OK(call)                                                                                                                 \
    do {                                                                                                                         \
        ++checks;                                                                                                                \
        if ((call) != OPSPILOT_OK) {                                                                                             \
            ++failures;                                                                                                          \
            fprintf(stderr, "%s:%d: %s: %s [%s] %s\n", __FILE__, __LINE__, #call, problem.message, problem.code, problem.where); \
        }                                                                                                                        \
    } while (0)

#define NOW INT64_C(1700000000000000)

/* The packed bundle of the tests, and one whose scores depend on a personal field, too. */
extern unsigned char* packed;
extern size_t packed_size;
extern unsigned char* personal;
extern size_t personal_size;
/* Lines: a public key, release 3 of policies, release 2 of bundles with the personal one, both signed with that key. */
extern unsigned char* signed_releases;
extern size_t signed_size;

/* Bundle, engine, workspace and decision, made once per test file. */
typedef struct desk {
    opspilot_bundle* bundle;
    opspilot_engine* engine;
    opspilot_workspace* workspace;
    opspilot_decision* decision;
} desk;

desk open_desk(void);
desk open_desk_on(const unsigned char* bundle, size_t size);
void close_desk(desk* d);

/* Arrow structs of the tests own nothing; one without a release function would count as released. */
void keep_schema(struct ArrowSchema* schema);
void keep_array(struct ArrowArray* array);

int same_text(opspilot_text text, const char* expected);
/* Whether a part stands in it, and what is behind its first place, or NULL. */
int holds(opspilot_text text, const char* part);
const char* behind(opspilot_text text, const char* part);
opspilot_text text_of(const char* text);
int same_bits(double a, double b);
/* Verdict, action, probability, and every ranked candidate and the explanation with every bit of their numbers. */
int same_decision(const opspilot_decision* a, const opspilot_decision* b);

void test_load(void);
void test_decide(void);
void test_columns(void);
void test_batch(void);
void test_explain(void);
void test_outcome(void);
void test_publishing(void);

#endif
