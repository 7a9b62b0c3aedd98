/* Who may change what decides: published policies, signed releases, shadows, and what is in force. */
#include <math.h>
#include <stdlib.h>

#include "check.h"

static const char refund[] = "{\"id\": \"r\", \"intent\": \"refund\", \"amount\": 100}";
static const char rows[] = "[{\"id\": \"refund_full\", \"match\": 3}, {\"id\": \"ask_receipt\", \"match\": 0.1}]";
static const char approve_rules[] =
    "{\"layer\": \"client\", \"version\": \"2\", \"rules\": [{\"id\": \"approve\", \"when\": \"action.kind == 'refund'\", "
    "\"effect\": \"require_approval\", \"because\": \"b\"}]}";
static const char own_rules[] =
    "{\"layer\": \"client\", \"version\": \"5\", \"rules\": [{\"id\": \"own\", \"when\": \"task.amount > 1.0\", "
    "\"effect\": \"suggest_only\", \"because\": \"b\"}]}";
static const char wrong_rules[] =
    "{\"layer\": \"client\", \"version\": \"2\", \"rules\": [{\"id\": \"a\", \"when\": \"task.amout > 1.0\", "
    "\"effect\": \"forbid\", \"because\": \"b\"}]}";

static opspilot_verdict verdict_now(const desk* d) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    OK(opspilot_engine_decide_json(d->engine, d->workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d->decision,
                                   &problem));
    return opspilot_decision_verdict(d->decision);
}

/* Line `index` of the signed releases. */
static opspilot_text release(size_t index) {
    opspilot_text line;
    size_t at = 0;
    line.data = (const char*)signed_releases;
    line.size = 0;
    while (at < signed_size) {
        const char* start = (const char*)signed_releases + at;
        const char* end = memchr(start, '\n', signed_size - at);
        line.data = start;
        line.size = end == NULL ? signed_size - at : (size_t)(end - start);
        if (index-- == 0) break;
        at += line.size + 1;
    }
    return line;
}

static void publish(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_document document;
    opspilot_overlay overlay;
    opspilot_verdict before;
    desk d = open_desk();
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d.decision,
                                   &problem));
    before = opspilot_decision_verdict(d.decision);
    CHECK(before == OPSPILOT_VERDICT_AUTO_EXECUTE);
    document.name = text_of("approve.json");
    document.text = text_of(approve_rules);
    OK(opspilot_engine_publish(d.engine, &document, 1, NULL, 0, NOW, &problem));
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d.decision,
                                   &problem));
    CHECK(opspilot_decision_verdict(d.decision) == OPSPILOT_VERDICT_REQUIRE_APPROVAL);
    document.text = text_of(wrong_rules);
    CHECK(opspilot_engine_publish(d.engine, &document, 1, NULL, 0, NOW, &problem) == OPSPILOT_ERROR_POLICY);
    CHECK(strcmp(problem.code, "policy.unknown_field") == 0);
    OK(opspilot_engine_rollback(d.engine, &problem));
    /* Of one client alone, who is not the task's. */
    overlay.client = text_of("somebody else");
    overlay.text = text_of(approve_rules);
    OK(opspilot_engine_publish(d.engine, NULL, 0, &overlay, 1, NOW, &problem));
    OK(opspilot_engine_decide_json(d.engine, d.workspace, refund, strlen(refund), rows, strlen(rows), NOW, NULL, d.decision,
                                   &problem));
    CHECK(opspilot_decision_verdict(d.decision) == before);
    overlay.text = text_of(NULL);
    OK(opspilot_engine_publish(d.engine, NULL, 0, &overlay, 1, NOW, &problem));
    overlay.client = text_of("");
    CHECK(opspilot_engine_publish(d.engine, NULL, 0, &overlay, 1, NOW, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_publish(d.engine, NULL, 0, NULL, 1, NOW, &problem) == OPSPILOT_ERROR_USAGE);
    document.text.data = NULL;
    document.text.size = 7;
    CHECK(opspilot_engine_publish(d.engine, &document, 1, NULL, 0, NOW, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.null_argument") == 0);
    close_desk(&d);
}

static void signed_ones(void) {
    static const char* const bad[] = {"", "{", "null", "[]", "{\"payload\": \"\"}", "\xFF"};
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    const opspilot_text key = release(0);
    const opspilot_text policy = release(1);
    const opspilot_text statement = release(2);
    opspilot_text half = key;
    opspilot_text record = {NULL, 0};
    opspilot_document document;
    opspilot_bundle* other = NULL;
    char* bent = malloc(policy.size);
    size_t i;
    desk d = open_desk();
    CHECK(bent != NULL);
    CHECK(key.size == 64);
    CHECK(opspilot_engine_publish_signed(d.engine, policy.data, policy.size, NOW, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.not_trusting") == 0);
    CHECK(opspilot_engine_trust(d.engine, NULL, 0, 0, 0, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.no_keys") == 0);
    half.size = 63;
    CHECK(opspilot_engine_trust(d.engine, &half, 1, 0, 0, &problem) != OPSPILOT_OK);
    CHECK(strcmp(problem.code, "signature.bad_key") == 0);
    half.data = NULL;
    CHECK(opspilot_engine_trust(d.engine, &half, 1, 0, 0, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_trust(d.engine, NULL, 1, 0, 0, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_trust(NULL, &key, 1, 0, 0, &problem) == OPSPILOT_ERROR_USAGE);

    OK(opspilot_engine_trust(d.engine, &key, 1, 2, 1, &problem));
    document.name = text_of("a.json");
    document.text = text_of(approve_rules);
    CHECK(opspilot_engine_publish(d.engine, &document, 1, NULL, 0, NOW, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "signature.required") == 0);
    CHECK(opspilot_engine_swap(d.engine, d.bundle, &problem) == OPSPILOT_ERROR_USAGE);
    for (i = 0; i < sizeof bad / sizeof *bad; ++i) {
        CHECK(opspilot_engine_publish_signed(d.engine, bad[i], strlen(bad[i]), NOW, &problem) == OPSPILOT_ERROR_POLICY);
        CHECK(opspilot_engine_swap_signed(d.engine, d.bundle, bad[i], strlen(bad[i]), &problem) == OPSPILOT_ERROR_BUNDLE);
    }
    for (i = 0; bent != NULL && i < policy.size;
         i += 7) { /* a changed byte is refused, or makes no difference to what is signed */
        memcpy(bent, policy.data, policy.size);
        bent[i] = bent[i] == 'A' ? 'B' : 'A';
        if (opspilot_engine_publish_signed(d.engine, bent, policy.size, NOW, &problem) == OPSPILOT_OK) break;
        CHECK(problem.status == OPSPILOT_ERROR_POLICY);
    }
    CHECK(opspilot_engine_publish_signed(d.engine, policy.data, policy.size - 1, NOW, &problem) == OPSPILOT_ERROR_POLICY);
    CHECK(verdict_now(&d) == (i < policy.size ? OPSPILOT_VERDICT_REQUIRE_APPROVAL : OPSPILOT_VERDICT_AUTO_EXECUTE));
    if (i >= policy.size) OK(opspilot_engine_publish_signed(d.engine, policy.data, policy.size, NOW, &problem));
    CHECK(verdict_now(&d) == OPSPILOT_VERDICT_REQUIRE_APPROVAL);
    CHECK(opspilot_engine_publish_signed(d.engine, policy.data, policy.size, NOW, &problem) == OPSPILOT_ERROR_POLICY);
    CHECK(strcmp(problem.code, "signature.replayed") == 0);

    CHECK(opspilot_engine_swap_signed(d.engine, d.bundle, statement.data, statement.size, &problem) == OPSPILOT_ERROR_BUNDLE);
    CHECK(strcmp(problem.code, "signature.other_bundle") == 0);
    OK(opspilot_bundle_load(personal, personal_size, &other, &problem));
    OK(opspilot_engine_swap_signed(d.engine, other, statement.data, statement.size, &problem));
    verdict_now(&d);
    OK(opspilot_decision_record_json(d.decision, 1, &record, &problem));
    CHECK(record.size > 0 && opspilot_bundle_fingerprint(other).size == 64);
    {
        char fingerprint[65];
        memcpy(fingerprint, opspilot_bundle_fingerprint(other).data, 64);
        fingerprint[64] = '\0';
        CHECK(holds(record, fingerprint));
    }
    CHECK(opspilot_engine_swap_signed(d.engine, other, statement.data, statement.size, &problem) == OPSPILOT_ERROR_BUNDLE);
    CHECK(strcmp(problem.code, "signature.replayed") == 0);
    CHECK(opspilot_engine_publish_signed(NULL, policy.data, policy.size, NOW, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_publish_signed(d.engine, NULL, 0, NOW, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_swap_signed(d.engine, NULL, statement.data, statement.size, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_swap_signed(d.engine, other, NULL, 0, &problem) == OPSPILOT_ERROR_USAGE);
    opspilot_bundle_free(other);
    free(bent);
    close_desk(&d);
}

static opspilot_shadow counts_of(const desk* d) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_shadow counts;
    memset(&counts, 0, sizeof counts);
    counts.size = sizeof counts;
    OK(opspilot_engine_shadowed(d->engine, &counts, &problem));
    return counts;
}

static void shadows(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_document document;
    opspilot_shadow counts;
    desk d = open_desk();
    counts = counts_of(&d);
    CHECK(counts.running == 0 && counts.decided == 0);
    document.name = text_of("approve.json");
    document.text = text_of(approve_rules);
    OK(opspilot_engine_shadow_policy(d.engine, &document, 1, NULL, 0, 1.0, &problem));
    CHECK(verdict_now(&d) == OPSPILOT_VERDICT_AUTO_EXECUTE); /* nothing of it reaches decisions */
    verdict_now(&d);
    counts = counts_of(&d);
    CHECK(counts.running == 1 && counts.decided == 2 && counts.changed == 2 && counts.failed == 0);
    CHECK(counts.actions == 0 && counts.queues == 0);
    CHECK(counts.verdicts[OPSPILOT_VERDICT_AUTO_EXECUTE][OPSPILOT_VERDICT_REQUIRE_APPROVAL] == 2);
    CHECK(counts.verdicts[OPSPILOT_VERDICT_REQUIRE_APPROVAL][OPSPILOT_VERDICT_AUTO_EXECUTE] == 0);

    OK(opspilot_engine_shadow(d.engine, NULL, 0.0, &problem));
    verdict_now(&d);
    counts = counts_of(&d);
    CHECK(counts.running == 0 && counts.decided == 2);
    OK(opspilot_engine_shadow(d.engine, d.bundle, 1.0, &problem));
    opspilot_bundle_free(d.bundle);
    d.bundle = NULL;
    verdict_now(&d);
    counts = counts_of(&d);
    CHECK(counts.running == 1 && counts.decided == 1 && counts.changed == 0);

    CHECK(opspilot_engine_shadow(d.engine, NULL, 1.5, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.share") == 0);
    CHECK(opspilot_engine_shadow(d.engine, NULL, NAN, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_shadow(NULL, NULL, 1.0, &problem) == OPSPILOT_ERROR_USAGE);
    document.text = text_of(wrong_rules);
    CHECK(opspilot_engine_shadow_policy(d.engine, &document, 1, NULL, 0, 1.0, &problem) == OPSPILOT_ERROR_POLICY);
    CHECK(opspilot_engine_shadow_policy(d.engine, NULL, 0, NULL, 0, 1.0, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_shadow_policy(d.engine, NULL, 0, NULL, 1, 1.0, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_shadow_policy(NULL, &document, 1, NULL, 0, 1.0, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_shadowed(d.engine, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_shadowed(NULL, &counts, &problem) == OPSPILOT_ERROR_USAGE);
    counts.size = sizeof counts - 1;
    CHECK(opspilot_engine_shadowed(d.engine, &counts, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(strcmp(problem.code, "usage.struct_size") == 0);
    counts = counts_of(&d);
    CHECK(counts.running == 1); /* what was refused ended nothing */
    close_desk(&d);
}

static void in_force(void) {
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_document document;
    opspilot_overlay overlay;
    opspilot_text about = {NULL, 0};
    desk d = open_desk();
    OK(opspilot_engine_describe_json(d.engine, d.workspace, &about, &problem));
    CHECK(holds(about, "\"killed\":\"none\"") && holds(about, "\"layer\":\"compliance\"") &&
          holds(about, "\"layer\":\"business\"") && holds(about, "\"published_us\":0"));
    CHECK(!holds(about, "\"layer\":\"client\"") && holds(about, "\"running\":false"));
    document.name = text_of("approve.json");
    document.text = text_of(approve_rules);
    overlay.client = text_of("acme");
    overlay.text = text_of(own_rules);
    OK(opspilot_engine_publish(d.engine, &document, 1, NULL, 0, NOW, &problem));
    OK(opspilot_engine_publish(d.engine, NULL, 0, &overlay, 1, NOW + 1, &problem));
    OK(opspilot_engine_kill(d.engine, OPSPILOT_KILL_AUTOMATION, &problem));
    OK(opspilot_engine_shadow(d.engine, d.bundle, 1.0, &problem));
    verdict_now(&d);
    OK(opspilot_engine_describe_json(d.engine, d.workspace, &about, &problem));
    CHECK(holds(about, "\"killed\":\"auto\"") && !holds(about, "\"layer\":\"compliance\""));
    CHECK(holds(about, "\"document\":\"approve.json\"") && holds(about, "\"published_us\":1700000000000000"));
    CHECK(holds(about, "\"client\":\"acme\"") && holds(about, "\"published_us\":1700000000000001"));
    CHECK(holds(about, "\"running\":true") && holds(about, "\"decided\":1") &&
          holds(about, "\"require_approval -> auto_execute\":1"));
    CHECK(opspilot_engine_describe_json(NULL, d.workspace, &about, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_describe_json(d.engine, NULL, &about, &problem) == OPSPILOT_ERROR_USAGE);
    CHECK(opspilot_engine_describe_json(d.engine, d.workspace, NULL, &problem) == OPSPILOT_ERROR_USAGE);
    close_desk(&d);
}

void test_publishing(void) {
    publish();
    signed_ones();
    shadows();
    in_force();
}
