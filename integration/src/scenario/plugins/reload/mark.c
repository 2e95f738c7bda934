/*
 * A native module whose versions can be told apart: each says its MARK in the header `x-native` of responses, where the request was seen by the
 * same instance. It counts its instances in a gauge, and spoils those that are freed.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <switchback.h>

#define TEXT(literal) ((sb_bytes)SB_TEXT(literal))

static const char mark[] = MARK;

struct instance {
    const char *mark;
    const sb_host *host;
    const sb_meter *alive;
};

/* What is remembered of one request. */
struct visit {
    const struct instance *seen_by;
};

static void *instance_new(const sb_host *host, sb_setup *setup, sb_bytes options) {
    (void)options;
    struct instance *instance = calloc(1, sizeof *instance);
    if (!instance) return NULL;
    instance->mark = mark;
    instance->host = host;
    sb_metric alive = {.size = sizeof alive, .kind = SB_METRIC_GAUGE, .name = TEXT("mark_alive"), .help = TEXT("Instances alive.")};
    if (host->define_metric(setup, &alive, &instance->alive) == SB_OK) host->meter_add(instance->alive, 1);
    return instance;
}

static void instance_free(void *data) {
    struct instance *instance = data;
    if (instance->alive) {
        instance->host->meter_add(instance->alive, -1);
        instance->host->meter_free(instance->alive);
    }
    /* Whoever still uses it is found out. */
    memset(instance, 0xdd, sizeof *instance);
    free(instance);
}

static void *visit_new(void *instance) {
    (void)instance;
    return calloc(1, sizeof(struct visit));
}

static void visit_free(void *request) {
    free(request);
}

static int32_t call(void *data, void *request, sb_exchange *exchange, uint32_t hook) {
    const struct instance *instance = data;
    struct visit *visit = request;
    if (!visit) {
        instance->host->fail(exchange, TEXT("no memory"));
        return SB_FAIL;
    }
    if (hook == SB_HOOK_REQUEST) visit->seen_by = instance;
    if (hook == SB_HOOK_RESPONSE && visit->seen_by == instance) {
        sb_bytes value = {(const uint8_t *)instance->mark, strlen(instance->mark)};
        instance->host->change_field(exchange, SB_MAP_RESPONSE_HEADERS, SB_CHANGE_SET, TEXT("x-native"), value);
    }
    return SB_CONTINUE;
}

static const sb_plugin plugin = {
    .size = sizeof plugin,
    .abi_major = SB_ABI_MAJOR,
    .abi_minor = SB_ABI_MINOR,
    .hooks = 1u << SB_HOOK_REQUEST | 1u << SB_HOOK_RESPONSE,
    .immediate = 1u << SB_HOOK_REQUEST | 1u << SB_HOOK_RESPONSE,
    .name = SB_TEXT("mark"),
    .version = SB_TEXT("1.0.0"),
    .instance_new = instance_new,
    .instance_free = instance_free,
    .request_new = visit_new,
    .request_free = visit_free,
    .hook = call,
};

SB_EXPORT const sb_plugin *switchback_plugin_v1(uint32_t index) {
    return index == 0 ? &plugin : NULL;
}
