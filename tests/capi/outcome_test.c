/* Outcomes and metrics through the C surface. */
#include "check.h"

static const char id[] = "00112233445566778899aabbccddeeff";

static opspilot_status record(const desk* d, const char* decision_id, const char* outcome, opspilot_text* out,
                              opspilot_error* problem) {
    return opspilot_engine_record_outcome(d->engine, d->workspace, decision_id, strlen(decision_id), outcome, strlen(outcome),
                                          NOW, out, problem);
}

/* Whether the text holds the line, from one line end to the next. */
static int holds_line(opspilot_text text, const char* line) {
    const size_t length = strlen(line);
    size_t i;
    for (i = 0; i + length < text.size; ++i)
        if ((i == 0 || text.data[i - 1] == '\n') && text.data[i + length] == '\n' && memcmp(text.data + i, line, length) == 0)
            return 1;
    return 0;
}

static void outcomes(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_text line = {NULL, 0};
    desk d = open_desk();
    OK(record(&d, id, "{\"kind\": \"overridden\", \"action\": \"close\", \"reward\": -1, \"delay_us\": 60000000}", &line,
              &problem));
    CHECK(same_text(line,
                    "{\"v\":1,\"type\":\"outcome\",\"decision\":\"00112233445566778899aabbccddeeff\",\"time\":1700000000000000,"
                    "\"kind\":\"overridden\",\"action\":\"close\",\"reward\":-1,\"delay_us\":60000000}\n"));
    CHECK(record(&d, "0011", "{\"kind\": \"accepted\"}", &line, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.decision_id") == 0);
    CHECK(record(&d, id, "{\"kind\": \"acepted\"}", &line, &problem) == OPSPILOT_ERROR_SCHEMA);
    CHECK(strcmp(problem.where, "/outcome/kind") == 0);
    CHECK(strcmp(problem.hint, "did you mean 'accepted'?") == 0);
    CHECK(record(&d, id, "{\"kind\": \"complaint\", \"text\": \"she called\"}", &line, &problem) == OPSPILOT_ERROR_SCHEMA);
    CHECK(strcmp(problem.code, "schema.unknown_field") == 0);
    CHECK(record(&d, id, "", &line, &problem) == OPSPILOT_ERROR_SCHEMA);
    /* A failure changes nothing: the line before is still there. */
    CHECK(line.size > 100 && line.data[line.size - 1] == '\n' && line.data[2] == 'v');
    CHECK(opspilot_engine_record_outcome(NULL, d.workspace, id, 32, "{}", 2, NOW, &line, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_record_outcome(d.engine, NULL, id, 32, "{}", 2, NOW, &line, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_record_outcome(d.engine, d.workspace, NULL, 32, "{}", 2, NOW, &line, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_record_outcome(d.engine, d.workspace, id, 32, NULL, 2, NOW, &line, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_record_outcome(d.engine, d.workspace, id, 32, "{}", 2, NOW, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.null_argument") == 0);
    close_desk(&d);
}

static void metrics(void) {
    static const char fraud[] = "{\"intent\": \"fraud\"}";
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_text text = {NULL, 0};
    desk d = open_desk();
    OK(opspilot_engine_metrics_text(d.engine, d.workspace, &text, &problem));
    CHECK(holds_line(text, "# TYPE opspilot_decisions_total counter"));
    CHECK(holds_line(text, "opspilot_decisions_total{verdict=\"escalate\"} 0"));
    OK(opspilot_engine_decide_json(d.engine, d.workspace, fraud, strlen(fraud), NULL, 0, NOW, NULL, d.decision, &problem));
    OK(opspilot_engine_decide_json(d.engine, d.workspace, fraud, strlen(fraud), NULL, 0, NOW, NULL, d.decision, &problem));
    CHECK(opspilot_engine_decide_json(d.engine, d.workspace, "{", 1, NULL, 0, NOW, NULL, d.decision, &problem) ==
          OPSPILOT_ERROR_SCHEMA);
    OK(record(&d, id, "{\"kind\": \"accepted\"}", &text, &problem));
    OK(opspilot_engine_kill(d.engine, OPSPILOT_KILL_AUTOMATION, &problem));
    OK(opspilot_engine_swap(d.engine, d.bundle, &problem));
    OK(opspilot_engine_metrics_text(d.engine, d.workspace, &text, &problem));
    CHECK(holds_line(text, "opspilot_decisions_total{verdict=\"escalate\"} 2"));
    CHECK(holds_line(text, "opspilot_decide_errors_total{kind=\"schema\"} 1"));
    CHECK(holds_line(text, "opspilot_outcomes_total{kind=\"accepted\"} 1"));
    CHECK(holds_line(text, "opspilot_kill_switch{scope=\"automation\"} 1"));
    CHECK(holds_line(text, "opspilot_bundle_swaps_total 1"));
    CHECK(text.size > 0 && text.data[text.size - 1] == '\n');
    CHECK(opspilot_engine_metrics_text(NULL, d.workspace, &text, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_metrics_text(d.engine, NULL, &text, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_metrics_text(d.engine, d.workspace, NULL, NULL) == OPSPILOT_ERROR_USAGE);
    close_desk(&d);
}

void test_outcome(void) {
    outcomes();
    metrics();
}
