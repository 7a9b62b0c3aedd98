/* Decisions from JSON, read through every accessor; swap, rollback and kill; objects that outlive each other. */
#include <math.h>

#include "check.h"

static const char refund[] = "{\"id\": \"r\", \"intent\": \"refund\", \"amount\": 100}";
static const char rows[] = "[{\"id\": \"refund_full\", \"match\": 3}, {\"id\": \"ask_receipt\", \"match\": 0.1}]";

static void an_automated_decision(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_ranked ranked = OPSPILOT_RANKED_INIT;
    opspilot_text record = {NULL, 0};
    desk d = open_desk();
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d.decision,
                                   &problem));
    CHECK(opspilot_decision_verdict(d.decision) == OPSPILOT_VERDICT_AUTO_EXECUTE);
    CHECK(opspilot_decision_proposed(d.decision) == OPSPILOT_VERDICT_AUTO_EXECUTE);
    CHECK(same_text(opspilot_decision_action(d.decision), "refund_full"));
    CHECK(same_text(opspilot_decision_stage(d.decision), "live"));
    CHECK(opspilot_decision_queue(d.decision).size == 0);
    CHECK(opspilot_decision_id(d.decision).size == 32);
    CHECK(opspilot_decision_rung(d.decision) == OPSPILOT_RUNG_FULL);
    CHECK(same_bits(opspilot_decision_threshold(d.decision), 0.9));
    CHECK(opspilot_decision_probability(d.decision) > 0.9 && opspilot_decision_probability(d.decision) <= 1.0);
    CHECK(opspilot_decision_override_probability(d.decision) == 0.0);
    CHECK(opspilot_decision_ranked_count(d.decision) == 2);
    OK(opspilot_decision_ranked(d.decision, 0, &ranked, &problem));
    CHECK(same_text(ranked.action, "refund_full"));
    CHECK(ranked.candidate == 0 && ranked.allowed == 1 && ranked.verdict == OPSPILOT_VERDICT_AUTO_EXECUTE);
    CHECK(same_bits(ranked.probability, opspilot_decision_probability(d.decision)));
    OK(opspilot_decision_ranked(d.decision, 1, &ranked, &problem));
    CHECK(ranked.candidate == 1 && ranked.score < 100.0);
    OK(opspilot_decision_record_json(d.decision, 1, &record, &problem));
    CHECK(record.size > 100 && record.data[0] == '{' && record.data[record.size - 1] == '\n');
    close_desk(&d);
}

static void reasons(void) {
    static const char fraud[] = "{\"id\": \"f\", \"intent\": \"fraud\"}";
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_reason reason = OPSPILOT_REASON_INIT;
    opspilot_ranked ranked = OPSPILOT_RANKED_INIT;
    desk d = open_desk();
    OK(opspilot_engine_decide_json(d.engine, d.workspace, fraud, strlen(fraud), NULL, 0, NOW, NULL, d.decision, &problem));
    CHECK(opspilot_decision_verdict(d.decision) == OPSPILOT_VERDICT_ESCALATE);
    CHECK(same_text(opspilot_decision_queue(d.decision), "trust"));
    OK(opspilot_decision_ranked(d.decision, 0, &ranked, &problem));
    CHECK(ranked.reasons >= 1);
    OK(opspilot_decision_ranked_reason(d.decision, 0, 0, &reason, &problem));
    CHECK(same_text(reason.rule, "fraud-to-human"));
    CHECK(same_text(reason.layer, "compliance"));
    CHECK(same_text(reason.text, "Fraud always goes to a person."));
    CHECK(reason.code.size > 0 && reason.failed == 0);
    CHECK(opspilot_decision_ranked_reason(d.decision, 0, ranked.reasons, &reason, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_decision_ranked(d.decision, 99, &ranked, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.index") == 0);
    CHECK(opspilot_decision_reason(d.decision, opspilot_decision_reason_count(d.decision), &reason, NULL) ==
          OPSPILOT_ERROR_USAGE);
    ranked.size = 4;
    CHECK(opspilot_decision_ranked(d.decision, 0, &ranked, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.struct_size") == 0);
    close_desk(&d);
}

static void kill_and_swap(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_options options = OPSPILOT_OPTIONS_INIT;
    opspilot_bundle* other = NULL;
    desk d = open_desk();
    OK(opspilot_engine_kill(d.engine, OPSPILOT_KILL_AUTOMATION, &problem));
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d.decision,
                                   &problem));
    CHECK(opspilot_decision_verdict(d.decision) == OPSPILOT_VERDICT_SUGGEST);
    OK(opspilot_engine_kill(d.engine, OPSPILOT_KILL_NONE, &problem));
    CHECK(opspilot_engine_kill(d.engine, 9, &problem) == OPSPILOT_ERROR_USAGE);

    options.widest_rung = OPSPILOT_RUNG_BASELINE;
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, &options, d.decision,
                                   &problem));
    CHECK(opspilot_decision_rung(d.decision) == OPSPILOT_RUNG_BASELINE);
    CHECK(opspilot_decision_verdict(d.decision) < OPSPILOT_VERDICT_AUTO_EXECUTE);
    CHECK(isnan(opspilot_decision_threshold(d.decision)));
    options.widest_rung = 5;
    CHECK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, &options,
                                      d.decision, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.option") == 0);

    CHECK(opspilot_engine_rollback(d.engine, &problem) == OPSPILOT_ERROR_USAGE);
    OK(opspilot_bundle_load(packed, packed_size, &other, &problem));
    OK(opspilot_engine_swap(d.engine, other, &problem));
    OK(opspilot_engine_rollback(d.engine, &problem));
    /* The engine keeps what it decides with, and the decision what it names. */
    opspilot_bundle_free(other);
    opspilot_bundle_free(d.bundle);
    d.bundle = NULL;
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d.decision,
                                   &problem));
    opspilot_engine_free(d.engine);
    opspilot_workspace_free(d.workspace);
    d.engine = NULL;
    d.workspace = NULL;
    CHECK(same_text(opspilot_decision_action(d.decision), "refund_full"));
    close_desk(&d);
}

static void refusals(void) {
    static const char* const bad_tasks[] = {"",
                                            "{",
                                            "[]",
                                            "null",
                                            "{\"intent\": \"refnd\"}",
                                            "{\"intent\": 5}",
                                            "{\"intnt\": \"refund\"}",
                                            "{\"intent\": \"refund\", \"amount\": -1}",
                                            "{\"intent\": \"\xFF\"}"};
    static const char* const bad_rows[] = {"",
                                           "{}",
                                           "[1]",
                                           "[{\"id\": \"refund_ful\"}]",
                                           "[{\"match\": 1}]",
                                           "[{\"id\": \"close\", \"mtch\": 1}]",
                                           "[{\"id\": \"close\"}"};
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    size_t i;
    desk d = open_desk();
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d.decision,
                                   &problem));
    for (i = 0; i < sizeof bad_tasks / sizeof *bad_tasks; ++i) {
        CHECK(opspilot_engine_decide_json(d.engine, d.workspace, bad_tasks[i], strlen(bad_tasks[i]), NULL, 0, NOW, NULL,
                                          d.decision, &problem) != OPSPILOT_OK);
        CHECK(problem.message[0] != '\0');
    }
    for (i = 0; i < sizeof bad_rows / sizeof *bad_rows; ++i)
        CHECK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), bad_rows[i], strlen(bad_rows[i]), NOW,
                                          NULL, d.decision, &problem) != OPSPILOT_OK);
    /* What was decided before stands. */
    CHECK(same_text(opspilot_decision_action(d.decision), "refund_full"));
    CHECK(opspilot_decision_ranked_count(d.decision) == 2);
    CHECK(opspilot_engine_decide_json(NULL, d.workspace, refund, 1, NULL, 0, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_decide_json(d.engine, NULL, refund, 1, NULL, 0, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_decide_json(d.engine, d.workspace, NULL, 1, NULL, 0, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_decide_json(d.engine, d.workspace, refund, 1, NULL, 0, NOW, NULL, NULL, &problem) ==
          OPSPILOT_ERROR_USAGE);
    close_desk(&d);
}

static void nothing_at_all(void) {
    CHECK(opspilot_decision_verdict(NULL) == OPSPILOT_VERDICT_ABSTAIN);
    CHECK(opspilot_decision_action(NULL).size == 0);
    CHECK(opspilot_decision_ranked_count(NULL) == 0);
    CHECK(isnan(opspilot_decision_threshold(NULL)));
    CHECK(opspilot_bundle_name(NULL).size == 0);
    opspilot_engine_free(NULL);
    opspilot_workspace_free(NULL);
    opspilot_candidates_free(NULL);
    opspilot_decision_free(NULL);
}

void test_decide(void) {
    an_automated_decision();
    reasons();
    kill_and_swap();
    refusals();
    nothing_at_all();
}
