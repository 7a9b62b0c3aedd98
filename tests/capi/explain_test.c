/* What made the score of the best candidate: by hand, in the record, and where there is nothing to say; why rules acted. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "check.h"

static const char task[] = "{\"id\": \"b\", \"intent\": \"billing\", \"amount\": 10, \"income\": 20}";
static const char rows[] = "[{\"id\": \"ask_receipt\", \"match\": 0.1}, {\"id\": \"explain_bill\", \"match\": 0.9}]";

static opspilot_status decide(const desk* d, const opspilot_options* options, opspilot_error* problem) {
    return opspilot_engine_decide_json(d->engine, d->workspace, task, strlen(task), rows, strlen(rows), NOW, options, d->decision,
                                       problem);
}

static int near(double a, double b) { return fabs(a - b) < 1e-6; } /* features are float32 */

static void by_hand(void) {
    /* Weight times value, the largest first; per_cost is 10 / 0.2. */
    static const char* const names[] = {"match", "earns", "amount", "cost", "per_cost"};
    double values[5];
    double sum = 0;
    size_t i;
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_options options = OPSPILOT_OPTIONS_INIT;
    opspilot_explanation why = OPSPILOT_EXPLANATION_INIT;
    opspilot_contribution part = OPSPILOT_CONTRIBUTION_INIT;
    opspilot_ranked best = OPSPILOT_RANKED_INIT;
    opspilot_text record = {NULL, 0};
    const char* others = NULL;
    desk d = open_desk_on(personal, personal_size);
    values[0] = 4 * 0.9;
    values[1] = 0.5 * log1p(20);
    values[2] = 0.25 * log1p(10);
    values[3] = -0.5 * 0.2;
    values[4] = 0.0001 * 50;
    options.explain = 1;
    OK(decide(&d, &options, &problem));
    OK(opspilot_decision_explanation(d.decision, &why, &problem));
    CHECK(why.asked == 1);
    CHECK(same_text(why.action, "explain_bill"));
    CHECK(why.missing.size == 0);
    CHECK(same_text(why.stage, "score"));
    CHECK(same_text(why.method, "linear"));
    CHECK(why.base == 0.125 && why.others == 0);
    CHECK(why.contributions == 5);
    for (i = 0; i < 5; ++i) {
        OK(opspilot_decision_contribution(d.decision, i, &part, &problem));
        CHECK(same_text(part.feature, names[i]));
        CHECK(near(part.contribution, values[i]));
        CHECK(part.personal == (i == 1));
        sum += part.contribution;
    }
    CHECK(near(why.score, why.base + sum));
    OK(opspilot_decision_ranked(d.decision, 0, &best, &problem));
    CHECK(near(best.score, why.score + 0.25)); /* a rule prefers what can be undone */

    /* The record has the same numbers, and no name of what was made from the income. */
    OK(opspilot_decision_record_json(d.decision, 1, &record, &problem));
    CHECK(holds(record,
                "\"explanation\":{\"action\":\"explain_bill\",\"stage\":\"score\",\"method\":\"linear\",\"missing\":\"\","));
    CHECK(holds(record, "\"base\":0.125,\"contributions\":[{\"feature\":\"match\",\"contribution\":3.59999"));
    OK(opspilot_decision_contribution(d.decision, 1, &part, &problem));
    others = behind(record, "],\"others\":");
    CHECK(others != NULL && same_bits(strtod(others, NULL), part.contribution));
    CHECK(!holds(record, "earns") && !holds(record, "income"));

    CHECK(opspilot_decision_contribution(d.decision, 5, &part, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.index") == 0);
    part.size = sizeof part - 1;
    CHECK(opspilot_decision_contribution(d.decision, 0, &part, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.struct_size") == 0);
    why.size = sizeof why - 1;
    CHECK(opspilot_decision_explanation(d.decision, &why, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.struct_size") == 0);
    CHECK(opspilot_decision_explanation(NULL, &why, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_decision_explanation(d.decision, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_decision_contribution(NULL, 0, &part, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_decision_contribution(d.decision, 0, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    close_desk(&d);
}

/* Asked or not, nothing is there to be read but the code. */
static void check_nothing(const desk* d, int asked, const char* missing) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_explanation why = OPSPILOT_EXPLANATION_INIT;
    opspilot_contribution part = OPSPILOT_CONTRIBUTION_INIT;
    opspilot_text record = {NULL, 0};
    OK(opspilot_decision_explanation(d->decision, &why, &problem));
    CHECK(why.asked == asked);
    CHECK(same_text(why.missing, missing));
    CHECK(why.contributions == 0 && why.stage.size == 0 && why.method.size == 0);
    CHECK(isnan(why.score) && isnan(why.base) && isnan(why.others));
    CHECK(opspilot_decision_contribution(d->decision, 0, &part, &problem) == OPSPILOT_ERROR_USAGE);
    OK(opspilot_decision_record_json(d->decision, 1, &record, &problem));
    CHECK(holds(record, "\"explanation\":") == asked);
    CHECK(!asked || holds(record, missing));
}

static void nothing_to_say(void) {
    static const char other[] = "{\"intent\": \"other\"}";
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_options options = OPSPILOT_OPTIONS_INIT;
    desk d = open_desk();
    check_nothing(&d, 0, ""); /* nothing decided yet */
    options.explain = 1;
    options.widest_rung = OPSPILOT_RUNG_BASELINE;
    OK(opspilot_engine_decide_json(d.engine, d.workspace, other, strlen(other), NULL, 0, NOW, &options, d.decision, &problem));
    check_nothing(&d, 1, "explanation.no_candidate");
    close_desk(&d);
    d = open_desk_on(personal, personal_size);
    OK(decide(&d, &options, &problem));
    check_nothing(&d, 1, "explanation.rung");
    options.widest_rung = OPSPILOT_RUNG_FULL;
    OK(decide(&d, &options, &problem));
    OK(decide(&d, NULL, &problem)); /* the same decision, filled again without one */
    check_nothing(&d, 0, "");
    close_desk(&d);
}

static void options_of_any_version(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_options options = OPSPILOT_OPTIONS_INIT;
    opspilot_explanation why = OPSPILOT_EXPLANATION_INIT;
    struct {
        opspilot_options known;
        int64_t later;
    } larger = {OPSPILOT_OPTIONS_INIT, 7};
    desk d = open_desk_on(personal, personal_size);
    /* A caller from before `explain`: what lies behind its struct is not read. */
    options.size = offsetof(opspilot_options, explain);
    options.widest_rung = OPSPILOT_RUNG_BASELINE;
    options.explain = 1;
    options.clauses = 1;
    options.about = text_of("nobody");
    OK(decide(&d, &options, &problem));
    CHECK(opspilot_decision_rung(d.decision) == OPSPILOT_RUNG_BASELINE);
    OK(opspilot_decision_explanation(d.decision, &why, &problem));
    CHECK(why.asked == 0);
    options.size = offsetof(opspilot_options, explain) - 1;
    CHECK(decide(&d, &options, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.struct_size") == 0);
    options.size = sizeof options - 1; /* half of the last member is none of it */
    options.about.data = NULL;
    OK(decide(&d, &options, &problem));
    options.size = sizeof options;
    CHECK(decide(&d, &options, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.option") == 0);
    /* A caller from after it. */
    larger.known.size = sizeof larger;
    larger.known.explain = 1;
    OK(decide(&d, &larger.known, &problem));
    OK(opspilot_decision_explanation(d.decision, &why, &problem));
    CHECK(why.asked == 1);
    close_desk(&d);
}

static void clauses(void) {
    static const char shut[] = "{\"intent\": \"refund\", \"amount\": 10, \"income\": 987654}";
    static const char offered[] = "[{\"id\": \"close\"}, {\"id\": \"ask_receipt\", \"match\": 0.1}]";
    static const char rich[] =
        "{\"layer\": \"client\", \"version\": \"1\", \"rules\": [{\"id\": \"rich\", \"when\": \"task.income > 5.0 && "
        "action.id == 'close'\", \"effect\": \"forbid\", \"because\": \"b\"}]}";
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_options options = OPSPILOT_OPTIONS_INIT;
    opspilot_document document;
    opspilot_text why = {NULL, 0};
    opspilot_text record = {NULL, 0};
    char copy[4096];
    const char* part = NULL;
    desk d = open_desk_on(personal, personal_size);
    document.name = text_of("rich.json");
    document.text = text_of(rich);
    OK(opspilot_engine_publish(d.engine, &document, 1, NULL, 0, NOW, &problem));
    options.clauses = 1;
    OK(opspilot_engine_decide_json(d.engine, d.workspace, shut, strlen(shut), offered, strlen(offered), NOW, &options, d.decision,
                                   &problem));
    CHECK(same_text(opspilot_decision_action(d.decision), "ask_receipt"));
    OK(opspilot_decision_explanation_json(d.decision, &why, &problem));
    CHECK(holds(why, "\"verdict\":\"suggest\",\"action\":\"ask_receipt\",\"clauses\":{\"missing\":\"\",\"rules\":["));
    CHECK(holds(why, "{\"action\":\"close\",\"rule\":\"rich\",\"layer\":\"client\",\"effect\":\"forbid\",\"failed\":false,"));
    CHECK(holds(why,
                "{\"text\":\"task.income > 5.0\",\"offset\":0,\"length\":17,\"gives\":\"true\",\"problem\":\"\",\"values\":"
                "[{\"field\":\"task.income\",\"value\":\"(personal)\"}]}"));
    CHECK(holds(why, "\"change\":[\"task.income <= 5.0\"]"));
    CHECK(!holds(why, "987654") && !holds(why, "\"explanation\""));

    /* The record has the same. */
    CHECK(why.size < sizeof copy);
    memcpy(copy, why.data, why.size);
    copy[why.size - 1] = '\0'; /* without the last bracket */
    part = strstr(copy, "\"clauses\":{\"missing\"");
    CHECK(part != NULL);
    OK(opspilot_decision_record_json(d.decision, 5, &record, &problem));
    CHECK(part != NULL && holds(record, part));
    CHECK(!holds(record, "987654"));

    options.clauses = 0;
    options.about = text_of("ask_receipt");
    OK(opspilot_engine_decide_json(d.engine, d.workspace, shut, strlen(shut), offered, strlen(offered), NOW, &options, d.decision,
                                   &problem));
    OK(opspilot_decision_explanation_json(d.decision, &why, &problem));
    CHECK(holds(why, "\"clauses\":{\"missing\":\"\",\"rules\":[],\"left_out\":0}}"));
    options.about = text_of("nobody");
    OK(opspilot_engine_decide_json(d.engine, d.workspace, shut, strlen(shut), offered, strlen(offered), NOW, &options, d.decision,
                                   &problem));
    OK(opspilot_decision_explanation_json(d.decision, &why, &problem));
    CHECK(holds(why, "explanation.no_candidate"));

    OK(decide(&d, NULL, &problem)); /* nothing asked, nothing said */
    OK(opspilot_decision_explanation_json(d.decision, &why, &problem));
    CHECK(!holds(why, "clauses") && holds(why, "{\"decision\":\""));
    CHECK(opspilot_decision_explanation_json(NULL, &why, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_decision_explanation_json(d.decision, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    close_desk(&d);
}

void test_explain(void) {
    by_hand();
    nothing_to_say();
    options_of_any_version();
    clauses();
}
