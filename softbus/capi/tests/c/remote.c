/* Stubs and proxies: rows 2 to 13 and 16; death.c has 22 to 24. The service is service.c, in a child process. */
#include "client.h"

static int64_t Milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

TEST(a_stub_needs_a_descriptor_and_a_callback)
{
    char *text = malloc(204802);
    memset(text, 'a', 204801);
    text[204801] = '\0';
    CHECK(OH_IPCRemoteStub_Create(NULL, Echo, NULL, NULL) == NULL);
    CHECK(OH_IPCRemoteStub_Create("", Echo, NULL, NULL) == NULL);
    CHECK(OH_IPCRemoteStub_Create("a", NULL, NULL, NULL) == NULL);
    CHECK(OH_IPCRemoteStub_Create("\xff", Echo, NULL, NULL) == NULL);
    CHECK(OH_IPCRemoteStub_Create(text, Echo, NULL, NULL) == NULL);
    text[204800] = '\0';
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create(text, Echo, NULL, NULL);
    CHECK(stub != NULL);
    OH_IPCRemoteStub_Destroy(stub);
    free(text);
    OH_IPCRemoteStub_Destroy(NULL);
    OH_IPCRemoteStub_Destroy(stub);
}

TEST(a_stub_is_destroyed_once_with_its_last_reference)
{
    struct Event destroyed = EVENT;
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("a", Echo, Destroyed, &destroyed);
    OH_IPCRemoteStub_Destroy(stub);
    CHECK_EQUAL(CountOf(&destroyed), 1);
    OH_IPCRemoteStub_Destroy(stub);
    CHECK_EQUAL(CountOf(&destroyed), 1);

    /* A parcel is a reference. */
    stub = OH_IPCRemoteStub_Create("a", Echo, Destroyed, &destroyed);
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_SUCCESS);
    OH_IPCRemoteStub_Destroy(stub);
    CHECK_EQUAL(CountOf(&destroyed), 1);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(parcel, 0), OH_IPC_SUCCESS);
    CHECK_EQUAL(CountOf(&destroyed), 2);
    OH_IPCParcel_Destroy(parcel);
}

TEST(a_stub_lives_while_a_proxy_lives_elsewhere)
{
    struct Event destroyed = EVENT;
    OHIPCRemoteProxy *service = Start();
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("a", Echo, Destroyed, &destroyed);
    CHECK_EQUAL(Send(service, SERVICE_KEEP, stub, NULL), OH_IPC_CHECK_PARAM_ERROR);
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(Send(service, SERVICE_KEEP, stub, reply), OH_IPC_SUCCESS);
    OH_IPCRemoteStub_Destroy(stub);
    CHECK_EQUAL(CountOf(&destroyed), 0);
    CHECK_EQUAL(Send(service, SERVICE_KEEP, NULL, reply), OH_IPC_SUCCESS);
    WaitFor(&destroyed, 1);

    /* So it is when the process with the proxy ends. */
    stub = OH_IPCRemoteStub_Create("a", Echo, Destroyed, &destroyed);
    CHECK_EQUAL(Send(service, SERVICE_KEEP, stub, reply), OH_IPC_SUCCESS);
    OH_IPCRemoteStub_Destroy(stub);
    CHECK_EQUAL(CountOf(&destroyed), 1);
    CHECK_EQUAL(Ask(service, SERVICE_CRASH, 0, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    WaitFor(&destroyed, 2);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
    CHECK_EQUAL(CountOf(&destroyed), 2);
}

TEST(a_request_needs_a_proxy_and_data)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    OHIPCParcel *gone = OH_IPCParcel_Create();
    OH_IPCParcel_Destroy(gone);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(NULL, 0, data, reply, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, 0, NULL, reply, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, 1, gone, reply, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, 1, data, gone, NULL), OH_IPC_CHECK_PARAM_ERROR);
    int32_t count = 77;
    CHECK_EQUAL(Ask(service, SERVICE_COUNT, 0, &count), OH_IPC_SUCCESS);
    CHECK_EQUAL(count, 0);
    OH_IPCRemoteProxy_Destroy(service);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, 1, data, reply, NULL), OH_IPC_CHECK_PARAM_ERROR);
    OH_IPCRemoteProxy_Destroy(service);
    OH_IPCRemoteProxy_Destroy(NULL);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
}

TEST(the_reserved_field_of_an_option_is_null)
{
    CHECK_EQUAL(sizeof(OH_IPC_MessageOption), 8 + sizeof(void *));
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    OH_IPC_MessageOption option = {OH_IPC_REQUEST_MODE_SYNC, 0, data};
    /* Looked at before the code is. */
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, 0, data, reply, &option), OH_IPC_CHECK_PARAM_ERROR);
    option.reserved = NULL;
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, 0, data, reply, &option), OH_IPC_CODE_OUT_OF_RANGE);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_WHO, data, reply, &option), OH_IPC_SUCCESS);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(codes_are_1_to_0x00ffffff)
{
    OHIPCRemoteProxy *service = Start();
    CHECK_EQUAL(Ask(service, 0, 0, NULL), OH_IPC_CODE_OUT_OF_RANGE);
    CHECK_EQUAL(Ask(service, 1, 0, NULL), OH_IPC_SUCCESS);
    CHECK_EQUAL(Ask(service, 0x00ffffff, 0, NULL), OH_IPC_SUCCESS);
    CHECK_EQUAL(Ask(service, 0x01000000, 0, NULL), OH_IPC_CODE_OUT_OF_RANGE);
    CHECK_EQUAL(Ask(service, UINT32_MAX, 0, NULL), OH_IPC_CODE_OUT_OF_RANGE);
    /* Looked at before the reply is. */
    OHIPCParcel *data = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, 0, data, NULL, NULL), OH_IPC_CODE_OUT_OF_RANGE);
    OH_IPCParcel_Destroy(data);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(without_an_option_a_request_waits)
{
    OHIPCRemoteProxy *service = Start();
    int64_t begun = Milliseconds();
    CHECK_EQUAL(Ask(service, SERVICE_SLEEP, 300, NULL), OH_IPC_SUCCESS);
    CHECK(Milliseconds() - begun >= 300);
    int32_t answer = 0;
    CHECK_EQUAL(Ask(service, SERVICE_ECHO, 42, &answer), OH_IPC_SUCCESS);
    CHECK_EQUAL(answer, 42);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_request_within_the_device_waits_longer_than_its_time_out)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    OH_IPC_MessageOption option = {OH_IPC_REQUEST_MODE_SYNC, 1, NULL};
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, 1300), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_SLEEP, data, reply, &option), OH_IPC_SUCCESS);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_request_that_waits_needs_a_reply)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *data = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(data, 1), OH_IPC_SUCCESS);
    OH_IPC_MessageOption option = {OH_IPC_REQUEST_MODE_SYNC, 0, NULL};
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_ECHO, data, NULL, &option), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_ECHO, data, NULL, NULL), OH_IPC_CHECK_PARAM_ERROR);
    int32_t count = 77;
    CHECK_EQUAL(Ask(service, SERVICE_COUNT, 0, &count), OH_IPC_SUCCESS);
    CHECK_EQUAL(count, 0);
    OH_IPCParcel_Destroy(data);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_request_that_nobody_waits_for_returns_before_its_handler)
{
    OHIPCRemoteProxy *service = Start();
    /* It ends when it is told to, and that is said afterwards. */
    CHECK_EQUAL(Tell(service, SERVICE_WAIT, 0), OH_IPC_SUCCESS);
    CHECK_EQUAL(Ask(service, SERVICE_GO, 0, NULL), OH_IPC_SUCCESS);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(requests_that_nobody_waits_for_run_in_their_order)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OH_IPC_MessageOption option = {OH_IPC_REQUEST_MODE_ASYNC, 0, NULL};
    for (int32_t i = 0; i < 100; i++) {
        CHECK_EQUAL(Tell(service, SERVICE_ECHO, i), OH_IPC_SUCCESS);
    }
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(reply, 5), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_FAIL, data, reply, &option), OH_IPC_SUCCESS);
    /* With a reply too, nothing comes back. */
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(reply), 4);
    int32_t count = 0;
    while (count < 100) {
        CHECK_EQUAL(Ask(service, SERVICE_COUNT, 0, &count), OH_IPC_SUCCESS);
    }
    CHECK_EQUAL(count, 100);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(what_a_callback_returns_arrives)
{
    OHIPCRemoteProxy *service = Start();
    const int32_t legal[] = {OH_IPC_CHECK_PARAM_ERROR, OH_IPC_PARCEL_WRITE_ERROR, OH_IPC_PARCEL_READ_ERROR,
        OH_IPC_MEM_ALLOCATOR_ERROR, OH_IPC_CODE_OUT_OF_RANGE, OH_IPC_DEAD_REMOTE_OBJECT,
        OH_IPC_INVALID_USER_ERROR_CODE, OH_IPC_INNER_ERROR, OH_IPC_USER_ERROR_CODE_MIN, 1909001,
        OH_IPC_USER_ERROR_CODE_MAX};
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++) {
        CHECK_EQUAL(Ask(service, SERVICE_FAIL, legal[i], NULL), legal[i]);
    }
    const int32_t others[] = {1, -1, 201, 1900999, 1901008, OH_IPC_ERROR_CODE_MAX, 1908999, 1910000, INT32_MIN};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK_EQUAL(Ask(service, SERVICE_FAIL, others[i], NULL), OH_IPC_INVALID_USER_ERROR_CODE);
    }
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(service), 0);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(error_numbers_are_openharmonys)
{
    CHECK_EQUAL(OH_IPC_SUCCESS, 0);
    CHECK_EQUAL(OH_IPC_ERROR_CODE_BASE, 1901000);
    CHECK_EQUAL(OH_IPC_CHECK_PARAM_ERROR, 1901000);
    CHECK_EQUAL(OH_IPC_PARCEL_WRITE_ERROR, 1901001);
    CHECK_EQUAL(OH_IPC_PARCEL_READ_ERROR, 1901002);
    CHECK_EQUAL(OH_IPC_MEM_ALLOCATOR_ERROR, 1901003);
    CHECK_EQUAL(OH_IPC_CODE_OUT_OF_RANGE, 1901004);
    CHECK_EQUAL(OH_IPC_DEAD_REMOTE_OBJECT, 1901005);
    CHECK_EQUAL(OH_IPC_INVALID_USER_ERROR_CODE, 1901006);
    CHECK_EQUAL(OH_IPC_INNER_ERROR, 1901007);
    CHECK_EQUAL(OH_IPC_ERROR_CODE_MAX, 1902000);
    CHECK_EQUAL(OH_IPC_USER_ERROR_CODE_MIN, 1909000);
    CHECK_EQUAL(OH_IPC_USER_ERROR_CODE_MAX, 1909999);
}

TEST(every_request_of_a_dead_object_says_so)
{
    OHIPCRemoteProxy *service = Start();
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(service), 0);
    CHECK_EQUAL(Ask(service, SERVICE_CRASH, 0, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(Ask(service, SERVICE_ECHO, 1, NULL), OH_IPC_DEAD_REMOTE_OBJECT);
        CHECK_EQUAL(Tell(service, SERVICE_ECHO, 1), OH_IPC_DEAD_REMOTE_OBJECT);
    }
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(service), 1);
    char *text = NULL;
    int32_t len = 0;
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(service, &text, &len, Allocate), OH_IPC_DEAD_REMOTE_OBJECT);
    CHECK(text == NULL);
    OH_IPCRemoteProxy_Destroy(service);
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(service), 1);
    CHECK_EQUAL(OH_IPCRemoteProxy_IsRemoteDead(NULL), 1);
}

TEST(a_handler_sees_a_wrong_token)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(data, SERVICE_TOKEN), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_CHECK_TOKEN, data, reply, NULL), OH_IPC_SUCCESS);
    /* The same parcel can be sent again. */
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_CHECK_TOKEN, data, reply, NULL), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(data, 0), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(data, "another token"), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_CHECK_TOKEN, data, reply, NULL), SERVICE_ERROR_TOKEN);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(data, 0), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_CHECK_TOKEN, data, reply, NULL),
        OH_IPC_PARCEL_READ_ERROR);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_reply_is_read_and_not_written)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 7), OH_IPC_SUCCESS);
    /* One parcel for both, as its second use shows. */
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_ECHO, parcel, parcel, NULL), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 8), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_ECHO, parcel, parcel, NULL), OH_IPC_SUCCESS);
    int32_t value = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(parcel, &value), OH_IPC_SUCCESS);
    CHECK_EQUAL(value, 7);
    OH_IPCParcel_Destroy(parcel);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_descriptor_has_its_nul)
{
    OHIPCRemoteProxy *service = Start();
    char *text = NULL;
    int32_t len = 0;
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(service, &text, &len, Allocate), OH_IPC_SUCCESS);
    CHECK(strcmp(text, SERVICE_DESCRIPTOR) == 0);
    CHECK_EQUAL(len, sizeof(SERVICE_DESCRIPTOR));
    free(text);
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(service, &text, &len, AllocateNothing),
        OH_IPC_MEM_ALLOCATOR_ERROR);
    CHECK(text == NULL);
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(NULL, &text, &len, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(service, NULL, &len, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(service, &text, NULL, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCRemoteProxy_GetInterfaceDescriptor(service, &text, &len, NULL), OH_IPC_CHECK_PARAM_ERROR);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_handler_calls_back_while_its_caller_waits)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("a", Echo, NULL, NULL);
    OHIPCParcel *reply = OH_IPCParcel_Create();
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(Send(service, SERVICE_CALL_BACK, stub, reply), OH_IPC_SUCCESS);
        int32_t answer = 0;
        CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &answer), OH_IPC_SUCCESS);
        CHECK_EQUAL(answer, 56);
    }
    /* Our own stub comes home as itself. */
    CHECK_EQUAL(Send(service, SERVICE_GIVE_BACK, stub, reply), OH_IPC_SUCCESS);
    OHIPCRemoteStub *back = OH_IPCParcel_ReadRemoteStub(reply);
    CHECK(back != NULL);
    OH_IPCRemoteStub_Destroy(back);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteStub_Destroy(stub);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_stub_may_destroy_itself)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(Send(service, SERVICE_ANOTHER, NULL, reply), OH_IPC_SUCCESS);
    OHIPCRemoteProxy *another = OH_IPCParcel_ReadRemoteProxy(reply);
    CHECK(another != NULL);
    CHECK_EQUAL(Ask(another, SERVICE_DESTROY_SELF, 0, NULL), OH_IPC_SUCCESS);
    /* It lives while we have it. */
    int32_t answer = 0;
    CHECK_EQUAL(Ask(another, SERVICE_ECHO, 9, &answer), OH_IPC_SUCCESS);
    CHECK_EQUAL(answer, 9);
    OH_IPCRemoteProxy_Destroy(another);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(file_descriptors_reach_another_process)
{
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteFileDescriptor(data, pipes[1]), OH_IPC_SUCCESS);
    close(pipes[1]);
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_WRITE, data, reply, NULL), OH_IPC_SUCCESS);
    OH_IPCParcel_Destroy(data);
    char text[5] = "";
    CHECK_EQUAL(read(pipes[0], text, 4), 4);
    CHECK(strcmp(text, "here") == 0);
    close(pipes[0]);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_handler_knows_its_caller)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *data = OH_IPCParcel_Create();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCRemoteProxy_SendRequest(service, SERVICE_WHO, data, reply, NULL), OH_IPC_SUCCESS);
    uint64_t pid, uid, token;
    int32_t local, handling;
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &pid), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &uid), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &token), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &local), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(reply, &handling), OH_IPC_SUCCESS);
    CHECK_EQUAL(pid, getpid());
    CHECK_EQUAL(uid, getuid());
    CHECK_EQUAL(token, getuid());
    CHECK_EQUAL(local, 1);
    CHECK_EQUAL(handling, 1);
    int32_t line = -1;
    CHECK_EQUAL(Ask(service, SERVICE_IDENTITY, 0, &line), OH_IPC_SUCCESS);
    CHECK_EQUAL(line, 0);
    OH_IPCParcel_Destroy(data);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

static void *AskMuch(void *proxy)
{
    for (int32_t i = 0; i < 200; i++) {
        int32_t answer = -1;
        CHECK_EQUAL(Ask(proxy, SERVICE_ECHO, i, &answer), OH_IPC_SUCCESS);
        CHECK_EQUAL(answer, i);
    }
    return NULL;
}

TEST(a_foreign_object_is_read_as_a_stub_too)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    CHECK_EQUAL(Send(service, SERVICE_ANOTHER, NULL, reply), OH_IPC_SUCCESS);
    OHIPCRemoteStub *foreign = OH_IPCParcel_ReadRemoteStub(reply);
    CHECK(foreign != NULL);
    /* It goes home. */
    CHECK_EQUAL(Send(service, SERVICE_KEEP, foreign, reply), OH_IPC_SUCCESS);
    OH_IPCRemoteStub_Destroy(foreign);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(a_handler_knows_its_own_token)
{
    OHIPCRemoteProxy *service = Start();
    OHIPCParcel *reply = OH_IPCParcel_Create();
    uint64_t own = 77, first = 77;
    CHECK_EQUAL(Send(service, SERVICE_TOKENS, NULL, reply), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &own), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadUint64(reply, &first), OH_IPC_SUCCESS);
    CHECK_EQUAL(own, getuid());
    CHECK_EQUAL(first, 0);
    OH_IPCParcel_Destroy(reply);
    OH_IPCRemoteProxy_Destroy(service);
}

TEST(any_thread_may_call)
{
    OHIPCRemoteProxy *service = Start();
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_create(&threads[i], NULL, AskMuch, service) == 0);
    }
    for (int i = 0; i < 8; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    OH_IPCRemoteProxy_Destroy(service);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
