/* The logger: what is private is not printed. */
#include "test.h"

#include <hilog/log.h>
#include <unistd.h>

#undef LOG_DOMAIN
#undef LOG_TAG
#define LOG_DOMAIN 0x0201
#define LOG_TAG "tests"

static char g_last[5000];

static void Keep(const LogType type, const LogLevel level, const unsigned int domain, const char *tag, const char *msg)
{
    CHECK_EQUAL(type, LOG_APP);
    CHECK(level >= LOG_DEBUG && level <= LOG_FATAL);
    CHECK_EQUAL(domain, 0x0201);
    CHECK(strcmp(tag, "tests") == 0);
    snprintf(g_last, sizeof(g_last), "%s", msg);
}

TEST(what_is_private_is_hidden)
{
    OH_LOG_SetCallback(Keep);
    OH_LOG_INFO(LOG_APP, "%{public}s %{private}s %s %d%%", "public", "private", "plain", 5);
    CHECK(strcmp(g_last, "public <private> plain 5%") == 0);
    OH_LOG_WARN(LOG_APP, "%{private}d,%{public}5.2f,%{private}-8llx|%{public}c", 77, 1.5, 99LL, 'x');
    CHECK(strcmp(g_last, "<private>, 1.50,<private>|x") == 0);
    OH_LOG_ERROR(LOG_APP, "nothing at all");
    CHECK(strcmp(g_last, "nothing at all") == 0);
    char *long_text = malloc(10001);
    memset(long_text, 'a', 10000);
    long_text[10000] = '\0';
    OH_LOG_FATAL(LOG_APP, "%{private}s%{public}s", long_text, "after");
    CHECK(strcmp(g_last, "<private>") == 0);
    OH_LOG_FATAL(LOG_APP, "%{public}s", long_text);
    CHECK_EQUAL(strlen(g_last), 4095);
    free(long_text);
    OH_LOG_SetCallback(NULL);
}

static OHIPCRemoteProxy *g_own;
static OHIPCDeathRecipient *g_recipient;
static int g_told;

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)data, (void)reply, (void)userData;
    return OH_IPC_SUCCESS;
}

static void Never(void *userData)
{
    (void)userData;
}

static void LogsItself(const LogType type, const LogLevel level, const unsigned int domain, const char *tag,
    const char *msg)
{
    (void)type, (void)level, (void)domain, (void)tag, (void)msg;
    g_told++;
    OH_LOG_INFO(LOG_APP, "told");
    /* Fails, and the library says so in the log. */
    CHECK_EQUAL(OH_IPCRemoteProxy_AddDeathRecipient(g_own, g_recipient), OH_IPC_INNER_ERROR);
}

TEST(a_callback_is_not_told_of_what_it_logs)
{
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("a", Answer, NULL, NULL);
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_SUCCESS);
    g_own = OH_IPCParcel_ReadRemoteProxy(parcel);
    g_recipient = OH_IPCDeathRecipient_Create(Never, NULL, NULL);
    OH_LOG_SetCallback(LogsItself);
    OH_LOG_INFO(LOG_APP, "one");
    CHECK_EQUAL(g_told, 1);
    /* Of the next one it is told again. */
    OH_LOG_INFO(LOG_APP, "two");
    CHECK_EQUAL(g_told, 2);
    OH_LOG_SetCallback(NULL);
    OH_IPCDeathRecipient_Destroy(g_recipient);
    OH_IPCRemoteProxy_Destroy(g_own);
    OH_IPCParcel_Destroy(parcel);
    OH_IPCRemoteStub_Destroy(stub);
}

TEST(levels_are_printed_from_a_lowest_one_on)
{
    CHECK(!OH_LOG_IsLoggable(0, NULL, LOG_DEBUG));
    CHECK(OH_LOG_IsLoggable(0, NULL, LOG_INFO));
    CHECK_EQUAL(OH_LOG_Print(LOG_APP, LOG_DEBUG, 0, "tests", "debug"), 0);
    OH_LOG_SetMinLogLevel(LOG_ERROR);
    CHECK(!OH_LOG_IsLoggable(0, NULL, LOG_WARN));
    CHECK_EQUAL(OH_LOG_PrintMsg(LOG_APP, LOG_WARN, 0, "tests", "warn"), 0);
    CHECK(OH_LOG_PrintMsg(LOG_APP, LOG_ERROR, 0x0201, NULL, "error") > 0);
    OH_LOG_SetMinLogLevel(LOG_INFO);
    CHECK(OH_LOG_Print(LOG_APP, LOG_INFO, 0, NULL, NULL) < 0);
    CHECK(OH_LOG_PrintMsg(LOG_APP, LOG_INFO, 0, NULL, NULL) < 0);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
