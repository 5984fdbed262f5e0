/* A service in a child process of its own, for the tests that include client.h. */
#include "service.h"
#include "test.h"

#include <AbilityKit/native_child_process.h>
#include <signal.h>
#include <softbus/device.h>
#include <unistd.h>

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData);

static struct Event g_end = EVENT;
static struct Event g_counted = EVENT;
static struct Event g_go = EVENT;
static pthread_mutex_t g_mutex = PTHREAD_MUTEX_INITIALIZER;
static OHIPCRemoteProxy *g_kept;
static OHIPCRemoteStub *g_another;

static int CallBack(const OHIPCParcel *data, OHIPCParcel *reply)
{
    OHIPCRemoteProxy *proxy = OH_IPCParcel_ReadRemoteProxy(data);
    int32_t value = 0;
    if (proxy == NULL || OH_IPCParcel_ReadInt32(data, &value) != OH_IPC_SUCCESS) {
        return OH_IPC_PARCEL_READ_ERROR;
    }
    OHIPCParcel *request = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(request, value), OH_IPC_SUCCESS);
    /* The answer goes straight into the reply. */
    int result = OH_IPCRemoteProxy_SendRequest(proxy, SERVICE_ECHO, request, reply, NULL);
    OH_IPCParcel_Destroy(request);
    OH_IPCRemoteProxy_Destroy(proxy);
    return result;
}

static int CheckToken(const OHIPCParcel *data)
{
    char *token = NULL;
    int32_t len = 0;
    int result = OH_IPCParcel_ReadInterfaceToken(data, &token, &len, Allocate);
    if (result == OH_IPC_SUCCESS && strcmp(token, SERVICE_TOKEN) != 0) {
        result = SERVICE_ERROR_TOKEN;
    }
    free(token);
    return result;
}

static int WriteHere(const OHIPCParcel *data)
{
    int32_t fd = -1;
    int result = OH_IPCParcel_ReadFileDescriptor(data, &fd);
    if (result == OH_IPC_SUCCESS) {
        result = write(fd, "here", 4) == 4 ? OH_IPC_SUCCESS : OH_IPC_INNER_ERROR;
        close(fd);
    }
    return result;
}

static void Who(OHIPCParcel *reply)
{
    CHECK_EQUAL(OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetCallingPid()), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetCallingUid()), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetCallingTokenId()), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(reply, OH_IPCSkeleton_IsLocalCalling()), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(reply, OH_IPCSkeleton_IsHandlingTransaction()), OH_IPC_SUCCESS);
}

/** Makes itself the caller and the caller the caller again. Returns the line that did not hold. */
static int Identity(void)
{
#define HOLDS(condition)     \
    do {                     \
        if (!(condition)) {  \
            return __LINE__; \
        }                    \
    } while (0)
    uint64_t caller = OH_IPCSkeleton_GetCallingPid();
    HOLDS(caller == (uint64_t)getppid());
    char *text = NULL;
    int32_t len = 0;
    HOLDS(OH_IPCSkeleton_ResetCallingIdentity(&text, &len, AllocateNothing) == OH_IPC_MEM_ALLOCATOR_ERROR);
    HOLDS(OH_IPCSkeleton_GetCallingPid() == caller);
    HOLDS(OH_IPCSkeleton_ResetCallingIdentity(&text, &len, Allocate) == OH_IPC_SUCCESS);
    HOLDS(len == (int32_t)strlen(text) + 1 && len > 1);
    HOLDS(OH_IPCSkeleton_GetCallingPid() == (uint64_t)getpid());
    HOLDS(OH_IPCSkeleton_IsHandlingTransaction() == 1);
    HOLDS(OH_IPCSkeleton_SetCallingIdentity(NULL) == OH_IPC_CHECK_PARAM_ERROR);
    HOLDS(OH_IPCSkeleton_SetCallingIdentity("") == OH_IPC_INNER_ERROR);
    HOLDS(OH_IPCSkeleton_SetCallingIdentity("hello, world.") == OH_IPC_INNER_ERROR);
    HOLDS(OH_IPCSkeleton_SetCallingIdentity(text + 1) == OH_IPC_INNER_ERROR);
    HOLDS(OH_IPCSkeleton_GetCallingPid() == (uint64_t)getpid());
    HOLDS(OH_IPCSkeleton_SetCallingIdentity(text) == OH_IPC_SUCCESS);
    HOLDS(OH_IPCSkeleton_GetCallingPid() == caller);
    free(text);
    return 0;
#undef HOLDS
}

static void Started(int error, OHIPCRemoteProxy *proxy)
{
    (void)error, (void)proxy;
}

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)userData;
    int32_t value = 0;
    switch (code) {
        case SERVICE_ECHO:
            if (OH_IPCParcel_ReadInt32(data, &value) != OH_IPC_SUCCESS) {
                return OH_IPC_PARCEL_READ_ERROR;
            }
            Happen(&g_counted);
            return OH_IPCParcel_WriteInt32(reply, value);
        case SERVICE_FAIL:
            OH_IPCParcel_WriteInt32(reply, 77);
            return OH_IPCParcel_ReadInt32(data, &value) == OH_IPC_SUCCESS ? value : OH_IPC_PARCEL_READ_ERROR;
        case SERVICE_SLEEP:
            CHECK_EQUAL(OH_IPCParcel_ReadInt32(data, &value), OH_IPC_SUCCESS);
            usleep((useconds_t)value * 1000);
            return OH_IPC_SUCCESS;
        case SERVICE_WHO:
            Who(reply);
            return OH_IPC_SUCCESS;
        case SERVICE_CRASH:
            kill(getpid(), SIGKILL);
            return OH_IPC_INNER_ERROR;
        case SERVICE_CALL_BACK:
            return CallBack(data, reply);
        case SERVICE_ANOTHER:
            g_another = OH_IPCRemoteStub_Create("another", Answer, NULL, NULL);
            return OH_IPCParcel_WriteRemoteStub(reply, g_another);
        case SERVICE_WRITE:
            return WriteHere(data);
        case SERVICE_CHECK_TOKEN:
            return CheckToken(data);
        case SERVICE_KEEP:
            pthread_mutex_lock(&g_mutex);
            OH_IPCRemoteProxy_Destroy(g_kept);
            g_kept = OH_IPCParcel_ReadRemoteProxy(data);
            pthread_mutex_unlock(&g_mutex);
            return OH_IPC_SUCCESS;
        case SERVICE_GIVE_BACK: {
            OHIPCRemoteProxy *proxy = OH_IPCParcel_ReadRemoteProxy(data);
            int result = OH_IPCParcel_WriteRemoteProxy(reply, proxy);
            OH_IPCRemoteProxy_Destroy(proxy);
            return result;
        }
        case SERVICE_COUNT:
            return OH_IPCParcel_WriteInt32(reply, CountOf(&g_counted));
        case SERVICE_DESTROY_SELF:
            OH_IPCRemoteStub_Destroy(g_another);
            OH_IPCRemoteStub_Destroy(g_another);
            return OH_IPC_SUCCESS;
        case SERVICE_IDENTITY:
            return OH_IPCParcel_WriteInt32(reply, Identity());
        case SERVICE_START_CHILD:
            value = OH_Ability_CreateNativeChildProcess("libtest_child.so", Started);
            return OH_IPCParcel_WriteInt32(reply, value);
        case SERVICE_END:
            CHECK_EQUAL(OH_IPCParcel_ReadInt32(data, &value), OH_IPC_SUCCESS);
            Happen(&g_end);
            return OH_IPCParcel_WriteInt32(reply, value);
        case SERVICE_WAIT:
            WaitFor(&g_go, 1);
            return OH_IPC_SUCCESS;
        case SERVICE_GO:
            Happen(&g_go);
            return OH_IPC_SUCCESS;
        case SERVICE_HANDLES:
            return OH_IPCParcel_WriteInt32(reply, (int32_t)SoftBus_HandleCount());
        case SERVICE_TOKENS:
            CHECK_EQUAL(OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetSelfTokenId()), OH_IPC_SUCCESS);
            return OH_IPCParcel_WriteUint64(reply, OH_IPCSkeleton_GetFirstTokenId());
        default:
            return OH_IPC_SUCCESS;
    }
}

OHIPCRemoteStub *NativeChildProcess_OnConnect(void)
{
    return OH_IPCRemoteStub_Create(SERVICE_DESCRIPTOR, Answer, NULL, NULL);
}

void NativeChildProcess_MainProc(void)
{
    /* Until SERVICE_END, or the end of the parent. */
    pthread_mutex_lock(&g_end.mutex);
    while (g_end.count == 0) {
        pthread_cond_wait(&g_end.changed, &g_end.mutex);
    }
    pthread_mutex_unlock(&g_end.mutex);
}
