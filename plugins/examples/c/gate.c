/*
 * A plugin in C, from the header alone: turns away who has no token, and says at the response which gate let the request through.
 *
 *     cc -std=c11 -O2 -fPIC -shared -fvisibility=hidden -I plugins/abi/include plugins/examples/c/gate.c -o libgate.so
 *
 *     [plugins.gate]
 *     module = "libgate.so"
 *     options = { token = "open sesame" }
 *
 * With a header `x-slow`, it waits before it decides: an operation of the host, and a hook that is called again.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <switchback.h>

#define TEXT(literal) ((sb_bytes)SB_TEXT(literal))

/* One configured gate. */
struct gate {
    const sb_host *host;
    const sb_meter *denied;
    size_t length;
    char token[256];
};

/* What is remembered of one request. */
struct visit {
    bool is_waiting;
    uint32_t sleep;
};

/* The value of `"token"`, in options that are known to be a JSON object. Escapes are refused: a real plugin brings a JSON parser. */
static bool read_token(struct gate *gate, sb_bytes options, const char **wrong) {
    static const char key[] = "{\"token\":\"";
    char text[512];
    size_t length = 0;
    bool is_quoted = false;
    for (size_t i = 0; i < options.length && length + 1 < sizeof text; i++) {
        char letter = (char)options.data[i];
        if (letter == '"') is_quoted = !is_quoted;
        if (letter == '\\') {
            *wrong = "escapes are not known to this example";
            return false;
        }
        if (is_quoted || !strchr(" \t\r\n", letter)) text[length++] = letter;
    }
    text[length] = 0;
    size_t begin = sizeof key - 1;
    if (length < begin + 2 || memcmp(text, key, begin) != 0 || strcmp(text + length - 2, "\"}") != 0) {
        *wrong = "must be there, as text, and alone";
        return false;
    }
    gate->length = length - 2 - begin;
    if (gate->length == 0 || gate->length >= sizeof gate->token || memchr(text + begin, '"', gate->length)) {
        *wrong = "must have 1 to 255 letters";
        return false;
    }
    memcpy(gate->token, text + begin, gate->length);
    return true;
}

static void *gate_new(const sb_host *host, sb_setup *setup, sb_bytes options) {
    const char *wrong = NULL;
    struct gate *gate = calloc(1, sizeof *gate);
    if (!gate) return NULL;
    gate->host = host;
    if (!read_token(gate, options, &wrong)) {
        sb_bytes message = {(const uint8_t *)wrong, strlen(wrong)};
        host->refuse(setup, TEXT("token"), message, TEXT("options = { token = \"..\" }"));
        free(gate);
        return NULL;
    }
    sb_metric denied = {.size = sizeof denied, .kind = SB_METRIC_COUNTER, .name = TEXT("gate_denied_total"),
                        .help = TEXT("Requests that were turned away.")};
    if (host->define_metric(setup, &denied, &gate->denied) != SB_OK) gate->denied = NULL;
    return gate;
}

static void gate_free(void *instance) {
    struct gate *gate = instance;
    if (gate->denied) gate->host->meter_free(gate->denied);
    free(gate);
}

static void *visit_new(void *instance) {
    (void)instance;
    return calloc(1, sizeof(struct visit));
}

static void visit_free(void *request) {
    free(request);
}

/* SB_CONTINUE when there is nothing left to wait for. */
static int32_t wait_a_while(struct gate *gate, struct visit *visit, sb_exchange *exchange) {
    const sb_host *host = gate->host;
    sb_bytes slow;
    if (!visit->is_waiting) {
        if (host->field(exchange, SB_MAP_REQUEST_HEADERS, TEXT("x-slow"), &slow) != SB_OK) return SB_CONTINUE;
        sb_sleep_operation sleep = {.size = sizeof sleep, .nanoseconds = 5000000};
        if (host->begin(exchange, SB_OPERATION_SLEEP, &sleep, &visit->sleep) != SB_OK) {
            host->fail(exchange, TEXT("cannot sleep"));
            return SB_FAIL;
        }
        visit->is_waiting = true;
    }
    sb_outcome outcome = {.size = sizeof outcome};
    if (host->poll(exchange, visit->sleep, &outcome) == SB_PENDING) return SB_PAUSE;
    visit->is_waiting = false;
    return SB_CONTINUE;
}

static int32_t on_request(struct gate *gate, struct visit *visit, sb_exchange *exchange) {
    const sb_host *host = gate->host;
    int32_t waited = wait_a_while(gate, visit, exchange);
    if (waited != SB_CONTINUE) return waited;
    sb_bytes token;
    int32_t found = host->field(exchange, SB_MAP_REQUEST_HEADERS, TEXT("x-token"), &token);
    if (found == SB_OK && token.length == gate->length && memcmp(token.data, gate->token, gate->length) == 0) {
        host->change_field(exchange, SB_MAP_REQUEST_HEADERS, SB_CHANGE_REMOVE, TEXT("x-token"), (sb_bytes){NULL, 0});
        host->set_variable(exchange, TEXT("gate"), TEXT("open"));
        return SB_CONTINUE;
    }
    if (gate->denied) host->meter_add(gate->denied, 1);
    sb_field fields[] = {{SB_TEXT("content-type"), SB_TEXT("text/plain")}, {SB_TEXT("x-gate"), SB_TEXT("closed")}};
    if (host->answer(exchange, 403, fields, 2, TEXT("no\n")) != SB_OK) return SB_FAIL;
    return SB_ANSWER;
}

static int32_t on_response(struct gate *gate, sb_exchange *exchange) {
    sb_bytes name;
    if (gate->host->fact(exchange, SB_FACT_PLUGIN, &name) != SB_OK) return SB_CONTINUE;
    gate->host->change_field(exchange, SB_MAP_RESPONSE_HEADERS, SB_CHANGE_SET, TEXT("x-let-through-by"), name);
    return SB_CONTINUE;
}

static int32_t gate_hook(void *instance, void *request, sb_exchange *exchange, uint32_t hook) {
    struct gate *gate = instance;
    if (!request) {
        gate->host->fail(exchange, TEXT("no memory"));
        return SB_FAIL;
    }
    switch (hook) {
    case SB_HOOK_REQUEST:
        return on_request(gate, request, exchange);
    case SB_HOOK_RESPONSE:
        return on_response(gate, exchange);
    default:
        return SB_CONTINUE;
    }
}

static void gate_abandon(void *instance, void *request, sb_exchange *exchange) {
    struct gate *gate = instance;
    struct visit *visit = request;
    if (visit->is_waiting) gate->host->cancel(exchange, visit->sleep);
    visit->is_waiting = false;
}

static const sb_plugin plugin = {
    .size = sizeof plugin,
    .abi_major = SB_ABI_MAJOR,
    .abi_minor = SB_ABI_MINOR,
    .hooks = 1u << SB_HOOK_REQUEST | 1u << SB_HOOK_RESPONSE,
    .immediate = 1u << SB_HOOK_RESPONSE,
    .name = SB_TEXT("gate"),
    .version = SB_TEXT("1.0.0"),
    .schema = SB_TEXT("{\"type\":\"object\",\"properties\":{\"token\":{\"type\":\"string\"}},\"required\":[\"token\"],"
                      "\"additionalProperties\":false}"),
    .instance_new = gate_new,
    .instance_free = gate_free,
    .request_new = visit_new,
    .request_free = visit_free,
    .hook = gate_hook,
    .abandon = gate_abandon,
};

SB_EXPORT const sb_plugin *switchback_plugin_v1(uint32_t index) {
    return index == 0 ? &plugin : NULL;
}
