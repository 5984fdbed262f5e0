/* Threads and callers outside of a process that calls: row 25 and what has no caller. What a handler sees of its caller is in
 * remote.c. */
#include "test.h"

#include <unistd.h>

TEST(threads_are_1_to_32)
{
    CHECK_EQUAL(OH_IPCSkeleton_SetMaxWorkThreadNum(0), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_SetMaxWorkThreadNum(-1), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_SetMaxWorkThreadNum(33), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_SetMaxWorkThreadNum(INT32_MAX), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_SetMaxWorkThreadNum(1), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCSkeleton_SetMaxWorkThreadNum(16), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCSkeleton_SetMaxWorkThreadNum(32), OH_IPC_SUCCESS);
}

TEST(without_a_caller_this_process_is_it)
{
    CHECK_EQUAL(OH_IPCSkeleton_GetCallingPid(), getpid());
    CHECK_EQUAL(OH_IPCSkeleton_GetCallingUid(), getuid());
    CHECK_EQUAL(OH_IPCSkeleton_GetCallingTokenId(), getuid());
    CHECK_EQUAL(OH_IPCSkeleton_GetSelfTokenId(), getuid());
    CHECK_EQUAL(OH_IPCSkeleton_GetFirstTokenId(), 0);
    CHECK_EQUAL(OH_IPCSkeleton_IsLocalCalling(), 1);
    CHECK_EQUAL(OH_IPCSkeleton_IsHandlingTransaction(), 0);
}

TEST(without_a_caller_there_is_no_identity)
{
    char *text = NULL;
    int32_t len = 0;
    CHECK_EQUAL(OH_IPCSkeleton_ResetCallingIdentity(NULL, &len, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_ResetCallingIdentity(&text, NULL, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_ResetCallingIdentity(&text, &len, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_ResetCallingIdentity(&text, &len, AllocateNothing), OH_IPC_MEM_ALLOCATOR_ERROR);
    CHECK(text == NULL && len == 0);
    CHECK_EQUAL(OH_IPCSkeleton_ResetCallingIdentity(&text, &len, Allocate), OH_IPC_SUCCESS);
    CHECK(strcmp(text, "") == 0);
    CHECK_EQUAL(len, 1);
    CHECK_EQUAL(OH_IPCSkeleton_SetCallingIdentity(text), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCSkeleton_SetCallingIdentity("anything"), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCSkeleton_SetCallingIdentity(NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCSkeleton_GetCallingPid(), getpid());
    free(text);
}

static struct Event g_joined = EVENT;
static pthread_t g_thread;

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)data, (void)userData;
    bool here = pthread_equal(pthread_self(), g_thread);
    if (here) {
        OH_IPCSkeleton_StopWorkThread();
        CHECK_EQUAL(OH_IPCSkeleton_IsHandlingTransaction(), 1);
    }
    return OH_IPCParcel_WriteInt32(reply, here);
}

static void *Join(void *unused)
{
    Happen(&g_joined);
    OH_IPCSkeleton_JoinWorkThread();
    return unused;
}

TEST(a_thread_joins_until_a_callback_on_it_stops_it)
{
    /* Not one that has joined. */
    OH_IPCSkeleton_StopWorkThread();
    CHECK(pthread_create(&g_thread, NULL, Join, NULL) == 0);
    WaitFor(&g_joined, 1);
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("a", Answer, NULL, NULL);
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_SUCCESS);
    OHIPCRemoteProxy *proxy = OH_IPCParcel_ReadRemoteProxy(parcel);
    int32_t here = 0;
    while (!here) {
        OHIPCParcel *reply = OH_IPCParcel_Create();
        CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(proxy, 1, parcel, reply, NULL), OH_IPC_SUCCESS);
        CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &here), OH_IPC_SUCCESS);
        OH_IPCParcel_Destroy(reply);
    }
    CHECK(pthread_join(g_thread, NULL) == 0);
    OH_IPCRemoteProxy_Destroy(proxy);
    OH_IPCRemoteStub_Destroy(stub);
    OH_IPCParcel_Destroy(parcel);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
