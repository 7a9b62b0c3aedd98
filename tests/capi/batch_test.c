/* A batch of tasks in Arrow form gives what single decisions give, in order, and stops when told to. */
#include "check.h"

enum { tasks = 3 };

static const char* const single_tasks[tasks] = {"{\"id\": \"t0\", \"intent\": \"billing\"}",
                                                "{\"id\": \"t1\", \"intent\": \"fraud\"}",
                                                "{\"id\": \"t2\", \"intent\": \"refund\", \"amount\": 40}"};

typedef struct seen {
    desk* single;
    const char* candidates; /* JSON, or NULL */
    const opspilot_options* options;
    size_t count;
    size_t stop_after;
} seen;

static int compare(void* user, size_t task, opspilot_decision* decision) {
    seen* s = user;
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_text line = {NULL, 0};
    desk* d = s->single;
    CHECK(task == s->count);
    OK(opspilot_engine_decide_json(d->engine, d->workspace, single_tasks[task], strlen(single_tasks[task]), s->candidates,
                                   s->candidates == NULL ? 0 : strlen(s->candidates), NOW, s->options, d->decision, &problem));
    CHECK(same_decision(decision, d->decision));
    CHECK(opspilot_decision_id(decision).size == 32);
    OK(opspilot_decision_record_json(decision, 3, &line, &problem));
    CHECK(line.size > 0);
    ++s->count;
    return s->count == s->stop_after;
}

void test_batch(void) {
    static const char ids[] = "t0t1t2";
    static const char intents[] = "billingfraudrefund";
    static const double amounts[] = {0, 0, 40};
    static const char each[] = "[{\"id\": \"ask_receipt\", \"match\": 0.25}, {\"id\": \"close\", \"match\": 0.5}]";
    static const char names[] = "ask_receiptclose";
    static const int64_t name_offsets[] = {0, 11, 16};
    static const uint32_t codes[] = {0, 1, 0, 1, 0, 1};
    static const int64_t task_index[] = {0, 0, 1, 1, 2, 2};
    static const int64_t falling_index[] = {0, 0, 2, 2, 1, 1};
    static const double match[] = {0.25, 0.5, 0.25, 0.5, 0.25, 0.5};
    int32_t id_offsets[] = {0, 2, 4, 6};
    int32_t intent_offsets[] = {0, 7, 12, 18};
    uint8_t third = 4;
    const void* id_buffers[] = {NULL, id_offsets, ids};
    const void* intent_buffers[] = {NULL, intent_offsets, intents};
    const void* amount_buffers[] = {&third, amounts};
    const void* no_buffers[] = {NULL};
    struct ArrowSchema id_schema = {"u", "id", NULL, 2, 0, NULL, NULL, keep_schema, NULL};
    struct ArrowSchema intent_schema = {"u", "intent", NULL, 2, 0, NULL, NULL, keep_schema, NULL};
    struct ArrowSchema amount_schema = {"g", "amount", NULL, 2, 0, NULL, NULL, keep_schema, NULL};
    struct ArrowArray id_array = {tasks, 0, 0, 3, 0, id_buffers, NULL, NULL, keep_array, NULL};
    struct ArrowArray intent_array = {tasks, 0, 0, 3, 0, intent_buffers, NULL, NULL, keep_array, NULL};
    struct ArrowArray amount_array = {tasks, 2, 0, 2, 0, amount_buffers, NULL, NULL, keep_array, NULL};
    struct ArrowSchema* schemas[] = {&id_schema, &intent_schema, &amount_schema};
    struct ArrowArray* arrays[] = {&id_array, &intent_array, &amount_array};
    struct ArrowSchema schema = {"+s", "", NULL, 0, 3, schemas, NULL, keep_schema, NULL};
    struct ArrowArray array = {tasks, 0, 0, 1, 3, no_buffers, arrays, NULL, keep_array, NULL};
    opspilot_error problem = OPSPILOT_ERROR_INIT;
    opspilot_workspace* workspace = NULL;
    opspilot_options options = OPSPILOT_OPTIONS_INIT;
    opspilot_candidates* c = NULL;
    desk d = open_desk();
    seen s;
    s.single = &d;
    s.candidates = NULL;
    s.options = NULL;
    s.count = 0;
    s.stop_after = 99;
    OK(opspilot_workspace_new(&workspace, &problem));
    OK(opspilot_engine_decide_batch(d.engine, workspace, &schema, &array, NULL, NOW, NULL, compare, &s, &problem));
    CHECK(s.count == tasks);

    OK(opspilot_candidates_new(&c, &problem));
    OK(opspilot_candidates_clear(c, 6, &problem));
    OK(opspilot_candidates_add_int64(c, "task_index", 10, task_index, NULL, &problem));
    OK(opspilot_candidates_add_codes(c, "id", 2, codes, names, strlen(names), name_offsets, 2, NULL, &problem));
    OK(opspilot_candidates_add_double(c, "match", 5, match, NULL, &problem));
    s.candidates = each;
    s.count = 0;
    OK(opspilot_engine_decide_batch(d.engine, workspace, &schema, &array, c, NOW, NULL, compare, &s, &problem));
    CHECK(s.count == tasks);
    options.explain = 1;
    s.options = &options;
    s.count = 0;
    OK(opspilot_engine_decide_batch(d.engine, workspace, &schema, &array, c, NOW, &options, compare, &s, &problem));
    CHECK(s.count == tasks);
    s.options = NULL;
    s.count = 0;
    s.stop_after = 2;
    OK(opspilot_engine_decide_batch(d.engine, workspace, &schema, &array, c, NOW, NULL, compare, &s, &problem));
    CHECK(s.count == 2);

    OK(opspilot_candidates_clear(c, 6, &problem));
    OK(opspilot_candidates_add_int64(c, "task_index", 10, falling_index, NULL, &problem));
    OK(opspilot_candidates_add_codes(c, "id", 2, codes, names, strlen(names), name_offsets, 2, NULL, &problem));
    s.count = 0;
    CHECK(opspilot_engine_decide_batch(d.engine, workspace, &schema, &array, c, NOW, NULL, compare, &s, &problem) != OPSPILOT_OK);
    CHECK(opspilot_engine_decide_batch(d.engine, workspace, &schema, &array, NULL, NOW, NULL, NULL, &s, &problem) ==
          OPSPILOT_ERROR_USAGE);
    CHECK(s.count == 0);
    opspilot_candidates_free(c);
    opspilot_workspace_free(workspace);
    close_desk(&d);
}
