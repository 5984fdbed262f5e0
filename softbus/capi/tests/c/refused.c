/* What an attached process does not get: each test on a host of its own, which refused.rs has prepared for it.
 * `refused PATH TEST` */
#include "service.h"
#include "test.h"

#include <grp.h>
#include <softbus/device.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    OF_HOST = 1401,
    OURS = 1402,
    /** What the owner lets everybody register, for this device only. */
    OPEN = 1403,
    /** Started on demand: it is never ready, and it cannot be started. */
    LATE = 1404,
    BROKEN = 1405,
    ANOTHER_USER = 65534,
    WAIT_MS = 20000,
};

static const char *g_path;
static OHIPCRemoteStub *g_stub;
static struct Event g_end = EVENT;

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)userData;
    int32_t value = 0;
    if (code == SERVICE_LAST) {
        Happen(&g_end);
        return OH_IPC_SUCCESS;
    }
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(data, &value), OH_IPC_SUCCESS);
    return OH_IPCParcel_WriteInt32(reply, value + 1);
}

/** Root is another user from here on: to the host a stranger. Before the library has threads. Others stay who they are. */
static bool BecomeAnotherUser(void)
{
    if (getuid() != 0) {
        return false;
    }
    CHECK(setgroups(0, NULL) == 0 && setgid(ANOTHER_USER) == 0 && setuid(ANOTHER_USER) == 0);
    return true;
}

static SoftBusNode *Attach(void)
{
    SoftBusNode *node = NULL;
    CHECK_EQUAL(SoftBus_Node_Attach(g_path, &node), SOFTBUS_OK);
    return node;
}

/** A service that was refused is not there, also for this process. */
static void IsNotThere(SoftBusNode *node, uint32_t service)
{
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_Get(node, service, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_ABSENT);
    CHECK_EQUAL(SoftBus_Service_Remove(node, service), SOFTBUS_ERR_ABSENT);
}

TEST(who_may_not_use_the_socket_is_refused)
{
    SoftBusNode *node = NULL;
    BecomeAnotherUser();
    CHECK_EQUAL(SoftBus_Node_Attach(g_path, &node), SOFTBUS_ERR_REFUSED);
    CHECK(strstr(SoftBus_LastError(), g_path) != NULL);
    CHECK(node == NULL);
}

TEST(a_host_has_room_for_so_many_processes)
{
    enum { MOST = 256, MOST_OF_ANOTHER = 64 };
    static SoftBusNode *nodes[MOST + 1];
    int most = BecomeAnotherUser() ? MOST_OF_ANOTHER : MOST;
    struct rlimit files;
    CHECK(getrlimit(RLIMIT_NOFILE, &files) == 0);
    files.rlim_cur = files.rlim_max;
    CHECK(setrlimit(RLIMIT_NOFILE, &files) == 0);
    int attached = 0, error = SOFTBUS_OK;
    while (attached <= MOST && (error = SoftBus_Node_Attach(g_path, &nodes[attached])) == SOFTBUS_OK) {
        attached++;
    }
    CHECK_EQUAL(error, SOFTBUS_ERR_BUSY);
    CHECK_EQUAL(attached, most);
    CHECK(nodes[attached] == NULL);
    char limit[20];
    snprintf(limit, sizeof(limit), "limit of %d", most);
    CHECK(strstr(SoftBus_LastError(), limit) != NULL);
    /* When one has gone there is room, as soon as the host has noticed. */
    SoftBus_Node_Stop(nodes[--attached]);
    time_t until = time(NULL) + 60;
    while ((error = SoftBus_Node_Attach(g_path, &nodes[attached])) == SOFTBUS_ERR_BUSY && time(NULL) < until) {
    }
    CHECK_EQUAL(error, SOFTBUS_OK);
    for (int i = 0; i <= attached; i++) {
        SoftBus_Node_Stop(nodes[i]);
    }
}

TEST(what_the_owners_policy_forbids_is_not_registered)
{
    SoftBusNode *node = Attach();
    CHECK_EQUAL(SoftBus_Service_Add(node, OURS, g_stub, SOFTBUS_LOCAL), SOFTBUS_ERR_REFUSED);
    CHECK(strstr(SoftBus_LastError(), "policy") != NULL);
    IsNotThere(node, OURS);
    CHECK_EQUAL(SoftBus_Service_Add(node, OPEN, g_stub, SOFTBUS_DISTRIBUTED), SOFTBUS_ERR_REFUSED);
    IsNotThere(node, OPEN);
    CHECK_EQUAL(SoftBus_Service_Add(node, OPEN, g_stub, SOFTBUS_LOCAL), SOFTBUS_OK);
    SoftBus_Node_Stop(node);
}

TEST(what_another_user_has_registered_is_not_replaced)
{
    enum { MOST = 256, FIRST = 10000 };
    CHECK(BecomeAnotherUser());
    SoftBusNode *node = Attach();
    CHECK_EQUAL(SoftBus_Service_Add(node, OF_HOST, g_stub, SOFTBUS_LOCAL), SOFTBUS_ERR_REFUSED);
    CHECK(strstr(SoftBus_LastError(), "another user") != NULL);
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_Get(node, OF_HOST, NULL, WAIT_MS, &proxy), SOFTBUS_OK);
    OH_IPCRemoteProxy_Destroy(proxy);
    for (uint32_t service = FIRST; service < FIRST + MOST; service++) {
        CHECK_EQUAL(SoftBus_Service_Add(node, service, g_stub, SOFTBUS_LOCAL), SOFTBUS_OK);
    }
    CHECK_EQUAL(SoftBus_Service_Add(node, FIRST + MOST, g_stub, SOFTBUS_LOCAL), SOFTBUS_ERR_BUSY);
    CHECK(strstr(SoftBus_LastError(), "limit 256") != NULL);
    IsNotThere(node, FIRST + MOST);
    SoftBus_Node_Stop(node);
}

TEST(a_device_has_room_for_so_many_services)
{
    SoftBusNode *node = Attach();
    CHECK_EQUAL(SoftBus_Service_Add(node, OURS, g_stub, SOFTBUS_LOCAL), SOFTBUS_ERR_BUSY);
    CHECK(strstr(SoftBus_LastError(), "limit 1000") != NULL);
    IsNotThere(node, OURS);
    SoftBus_Node_Stop(node);
}

TEST(a_service_that_is_not_started_is_not_got)
{
    SoftBusNode *node = Attach();
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_Get(node, LATE, NULL, 100, &proxy), SOFTBUS_ERR_TIMED_OUT);
    CHECK_EQUAL(SoftBus_Service_WaitFor(node, LATE, NULL, 100, &proxy), SOFTBUS_ERR_TIMED_OUT);
    CHECK_EQUAL(SoftBus_Service_Get(node, BROKEN, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_FAILED);
    CHECK(strstr(SoftBus_LastError(), "not started") != NULL);
    CHECK_EQUAL(SoftBus_Service_WaitFor(node, BROKEN, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_FAILED);
    int tries = 0, error = SOFTBUS_OK;
    do {
        error = SoftBus_Service_Get(node, BROKEN, NULL, WAIT_MS, &proxy);
    } while (error == SOFTBUS_ERR_FAILED && ++tries < 100);
    /* It is not started again and again. */
    CHECK_EQUAL(error, SOFTBUS_ERR_BUSY);
    CHECK(strstr(SoftBus_LastError(), "restarted") != NULL);
    CHECK_EQUAL(SoftBus_Service_WaitFor(node, BROKEN, NULL, WAIT_MS, &proxy), SOFTBUS_ERR_BUSY);
    CHECK(proxy == NULL);
    SoftBus_Node_Stop(node);
}

static void Say(const char *what)
{
    puts(what);
    fflush(stdout);
}

TEST(without_a_host_a_service_waits_for_one)
{
    SoftBusNode *node = Attach();
    Say("attached");
    char line[20] = "";
    CHECK(fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "gone\n") == 0);
    OHIPCRemoteProxy *proxy = NULL;
    CHECK_EQUAL(SoftBus_Service_Add(node, OURS, g_stub, SOFTBUS_LOCAL), SOFTBUS_ERR_UNREACHABLE);
    CHECK_EQUAL(SoftBus_Service_Get(node, OF_HOST, NULL, 100, &proxy), SOFTBUS_ERR_UNREACHABLE);
    CHECK_EQUAL(SoftBus_Service_WaitFor(node, OF_HOST, NULL, 100, &proxy), SOFTBUS_ERR_UNREACHABLE);
    /* Here it is, and the next host is told of it by itself. */
    CHECK_EQUAL(SoftBus_Service_Get(node, OURS, NULL, WAIT_MS, &proxy), SOFTBUS_OK);
    OH_IPCRemoteProxy_Destroy(proxy);
    Say("unreachable");
    WaitFor(&g_end, 1);
    SoftBus_Node_Stop(node);
}

int main(int argc, char **argv)
{
    CHECK(argc == 3);
    g_path = argv[1];
    g_stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    int failed = RunTests(argc - 1, argv + 1);
    OH_IPCRemoteStub_Destroy(g_stub);
    CHECK_EQUAL(SoftBus_HandleCount(), 0);
    return failed;
}
