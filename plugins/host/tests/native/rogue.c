/*
 * A module that does one thing wrong, or many, as it was told to when it was built: see rogue.rs and loading.rs.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <switchback.h>

#ifndef MAJOR
#define MAJOR SB_ABI_MAJOR
#endif
#ifndef SIZE
#define SIZE sizeof(sb_plugin)
#endif
#ifndef HOOKS
#define HOOKS 0x3ff
#endif
#ifndef IMMEDIATE
#define IMMEDIATE 0
#endif
#ifndef NAME
#define NAME SB_TEXT("rogue")
#endif
#ifndef VERSION
#define VERSION "1"
#endif
#ifndef HOOK
#define HOOK rogue_hook
#endif
#ifndef REQUEST_NEW
#define REQUEST_NEW request_new
#endif
#ifndef REQUEST_FREE
#define REQUEST_FREE request_free
#endif
#ifndef COUNT
#define COUNT 1
#endif

#define TEXT(literal) ((sb_bytes)SB_TEXT(literal))

struct rogue {
    const sb_host *host;
    const sb_meter *alive;
    char script[64];
};

struct request {
    struct rogue *rogue;
    uint32_t operation;
};

static void *instance_new(const sb_host *host, sb_setup *setup, sb_bytes options) {
    struct rogue *rogue = calloc(1, sizeof *rogue);
    if (!rogue) return NULL;
    sb_metric alive = {.size = sizeof alive, .kind = SB_METRIC_GAUGE, .name = TEXT("alive"), .help = TEXT("Requests.")};
    sb_metric small = {.size = 8, .kind = SB_METRIC_GAUGE, .name = TEXT("small"), .help = TEXT("None.")};
    const sb_meter *none = NULL;
    rogue->host = host;
    if (host->define_metric(setup, &small, &none) != SB_INVALID || none) abort();
    if (host->define_metric(setup, NULL, &none) != SB_INVALID || none) abort();
    if (host->set_time(setup, 99, 1) != SB_UNSUPPORTED) abort();
    if (host->has(setup, 99, TEXT("x")) != SB_UNSUPPORTED) abort();
    if (host->about(setup, SB_ABOUT_FOLDER, NULL) != SB_INVALID) abort();
    if (host->define_metric(setup, &alive, &rogue->alive) != SB_OK) abort();
    if (options.length >= sizeof rogue->script) {
        free(rogue);
        return NULL;
    }
    return rogue;
}

static void instance_free(void *instance) {
    struct rogue *rogue = instance;
    rogue->host->meter_free(rogue->alive);
    free(rogue);
}

static void *request_new(void *instance) {
    struct rogue *rogue = instance;
    struct request *request = calloc(1, sizeof *request);
    if (request) request->rogue = rogue;
    rogue->host->meter_add(rogue->alive, 1);
    return request;
}

static void request_free(void *pointer) {
    struct request *request = pointer;
    request->rogue->host->meter_add(request->rogue->alive, -1);
    free(request);
}

/* Calls that no host may do anything about but to refuse them; what they gave, in order. */
static int32_t wrong(const sb_host *host, sb_exchange *exchange) {
    char codes[1024] = "";
    size_t length = 0;
    sb_bytes value, null_with_length = {NULL, 5}, endless = {(const uint8_t *)"x", SIZE_MAX}, no_text = SB_TEXT("\xff");
    sb_field bad_name = {SB_TEXT("a b"), SB_TEXT("1")}, bad_value = {SB_TEXT("a"), SB_TEXT("1\n")};
    sb_steer small = {.size = 8}, unknown = {.size = sizeof unknown, .kind = 99};
    sb_steer tries = {.size = sizeof tries, .kind = SB_STEER_TRIES, .number = UINT64_MAX};
    sb_endpoint endpoint = {.size = 4};
    sb_outcome outcome = {.size = 4};
    sb_http_operation http = {.size = sizeof http, .upstream = SB_TEXT("app"), .method = SB_TEXT("G T")};
    sb_blocking_operation blocking = {.size = sizeof blocking};
    sb_resolve_operation resolve = {.size = sizeof resolve, .name = SB_TEXT("no address")};
    sb_store_operation store = {.size = sizeof store, .action = 99, .store = SB_TEXT("s"), .key = SB_TEXT("k")};
    uint32_t id = 0;
    size_t one = 0;
    int32_t all[] = {
        host->field(exchange, 99, TEXT("a"), &value),
        host->field(exchange, 0, null_with_length, &value),
        host->field(exchange, 0, endless, &value),
        host->field(exchange, 0, no_text, &value),
        host->field(exchange, 0, TEXT("x-a"), NULL),
        host->field(NULL, 0, TEXT("x-a"), &value),
        host->change_field(exchange, 0, 99, TEXT("a"), TEXT("b")),
        host->change_field(exchange, 0, SB_CHANGE_SET, TEXT("a b"), TEXT("b")),
        host->change_field(exchange, 0, SB_CHANGE_SET, TEXT("a"), null_with_length),
        host->fact(exchange, 99, &value),
        host->variable(exchange, no_text, &value),
        host->set_part(exchange, 99, TEXT("a")),
        host->set_part(exchange, SB_PART_PATH, no_text),
        host->set_status(exchange, 70000),
        host->steer(exchange, NULL),
        host->steer(exchange, &small),
        host->steer(exchange, &unknown),
        host->steer(exchange, &tries),
        host->endpoint(exchange, 0, &endpoint),
        host->prefer(exchange, NULL, 3),
        host->prefer(exchange, &one, 100000),
        host->piece(exchange, NULL, NULL),
        host->inform(exchange, 70000, NULL, 0),
        host->inform(exchange, 103, NULL, 1),
        host->answer(exchange, 199, NULL, 0, TEXT("")),
        host->answer(exchange, 200, &bad_name, 1, TEXT("")),
        host->answer(exchange, 200, &bad_value, 1, TEXT("")),
        host->answer(exchange, 200, NULL, 0, endless),
        host->begin(exchange, 99, &http, &id),
        host->begin(exchange, SB_OPERATION_HTTP, NULL, &id),
        host->begin(exchange, SB_OPERATION_HTTP, &http, &id),
        host->begin(exchange, SB_OPERATION_BLOCKING, &blocking, &id),
        host->begin(exchange, SB_OPERATION_RESOLVE_ADDRESS, &resolve, &id),
        host->begin(exchange, SB_OPERATION_STORE, &store, &id),
        host->begin(exchange, SB_OPERATION_SLEEP, &small, &id),
        host->poll(exchange, 7, NULL),
        host->poll(exchange, 7, &outcome),
    };
    host->log(exchange, 99, no_text);
    host->cancel(exchange, 12345);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        length += (size_t)snprintf(codes + length, sizeof codes - length, "%d ", all[i]);
    host->set_variable(exchange, TEXT("codes"), (sb_bytes){(const uint8_t *)codes, length});
    return SB_CONTINUE;
}

struct visiting {
    const sb_host *host;
    sb_exchange *exchange;
    int32_t code;
};

static void visit(void *data, sb_bytes name, sb_bytes value) {
    struct visiting *visiting = data;
    sb_bytes found;
    (void)name, (void)value;
    /* Looking is possible, changing is not. */
    if (visiting->host->field(visiting->exchange, 0, TEXT("x-do"), &found) != SB_OK) abort();
    visiting->code = visiting->host->change_field(visiting->exchange, 0, SB_CHANGE_REMOVE, name, found);
}

static void never(void *work) {
    *(int *)work += 1;
}

static int32_t act(struct request *request, sb_exchange *exchange, const char *what) {
    static int discarded;
    const sb_host *host = request->rogue->host;
    sb_sleep_operation sleep = {.size = sizeof sleep, .nanoseconds = 1000000000};
    sb_blocking_operation blocking = {.size = sizeof blocking, .discard = never, .work = &discarded};
    if (!strcmp(what, "wrong")) return wrong(host, exchange);
    if (!strcmp(what, "answer")) return SB_ANSWER;
    if (!strcmp(what, "answer-continue")) {
        host->answer(exchange, 200, NULL, 0, TEXT("body"));
        return SB_CONTINUE;
    }
    if (!strcmp(what, "fail")) return SB_FAIL;
    if (!strcmp(what, "fail-continue")) {
        host->fail(exchange, TEXT("told"));
        return SB_CONTINUE;
    }
    if (!strcmp(what, "panic")) {
        host->fail(exchange, TEXT("told \xff"));
        return SB_PANICKED;
    }
    if (!strcmp(what, "code")) return 77;
    if (!strcmp(what, "pause")) return SB_PAUSE;
    if (!strcmp(what, "sleep")) {
        sb_outcome outcome = {.size = sizeof outcome};
        if (!request->operation) host->begin(exchange, SB_OPERATION_SLEEP, &sleep, &request->operation);
        return host->poll(exchange, request->operation, &outcome) == SB_PENDING ? SB_PAUSE : SB_CONTINUE;
    }
    if (!strcmp(what, "discard")) {
        uint32_t id;
        int32_t code = host->begin(exchange, SB_OPERATION_BLOCKING, &blocking, &id);
        return code == SB_INVALID && discarded == 0 ? SB_CONTINUE : 78;
    }
    if (!strcmp(what, "visit")) {
        struct visiting visiting = {host, exchange, 0};
        host->fields(exchange, 0, visit, &visiting);
        return visiting.code == SB_NOT_NOW ? SB_CONTINUE : 79;
    }
    return SB_CONTINUE;
}

static int32_t rogue_hook(void *instance, void *pointer, sb_exchange *exchange, uint32_t hook) {
    struct rogue *rogue = instance;
    char what[32] = "";
    sb_bytes found;
    (void)hook;
    if (rogue->host->field(exchange, 0, TEXT("x-do"), &found) == SB_OK && found.length < sizeof what)
        memcpy(what, found.data, found.length);
    struct request passing = {.rogue = rogue};
    return act(pointer ? pointer : &passing, exchange, what);
}

static const sb_plugin plugins[] = {
    {SIZE, MAJOR, SB_ABI_MINOR, HOOKS, IMMEDIATE, NAME, SB_TEXT(VERSION), {NULL, 0},
     instance_new, instance_free, REQUEST_NEW, REQUEST_FREE, HOOK, NULL},
    {sizeof(sb_plugin), SB_ABI_MAJOR, SB_ABI_MINOR, 0, 0, SB_TEXT("second"), SB_TEXT("2"), {NULL, 0},
     instance_new, instance_free, request_new, request_free, rogue_hook, NULL},
};

#ifndef ENTRY
#define ENTRY switchback_plugin_v1
#endif

SB_EXPORT const sb_plugin *ENTRY(uint32_t index);

SB_EXPORT const sb_plugin *ENTRY(uint32_t index) {
    (void)act;
    (void)rogue_hook;
    (void)request_new;
    (void)request_free;
    static const uint32_t count = COUNT;
    return index < count ? &plugins[index < 2 ? index : 0] : NULL;
}
