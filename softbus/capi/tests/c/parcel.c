/* Parcels: rows 14, 15 and 17 to 21. */
#include "test.h"

#include <float.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CAPACITY = 204800 };

/** A parcel that has no room left. */
static OHIPCParcel *Full(void)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    uint8_t *bytes = calloc(1, CAPACITY);
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, bytes, CAPACITY), OH_IPC_SUCCESS);
    free(bytes);
    return parcel;
}

#define ROUND_TRIP(type, Kind, ...)                                                   \
    do {                                                                              \
        const type values[] = {__VA_ARGS__};                                          \
        const size_t count = sizeof(values) / sizeof(values[0]);                      \
        OHIPCParcel *parcel = OH_IPCParcel_Create();                                  \
        for (size_t i = 0; i < count; i++) {                                          \
            CHECK_EQUAL(OH_IPCParcel_Write##Kind(parcel, values[i]), OH_IPC_SUCCESS); \
        }                                                                             \
        for (size_t i = 0; i < count; i++) {                                          \
            type value = 77;                                                          \
            CHECK_EQUAL(OH_IPCParcel_Read##Kind(parcel, &value), OH_IPC_SUCCESS);     \
            CHECK(value == values[i]);                                                \
        }                                                                             \
        type value = 77;                                                              \
        CHECK_EQUAL(OH_IPCParcel_Read##Kind(parcel, &value), OH_IPC_PARCEL_READ_ERROR); \
        CHECK(value == 77);                                                           \
        CHECK_EQUAL(OH_IPCParcel_Read##Kind(parcel, NULL), OH_IPC_CHECK_PARAM_ERROR); \
        CHECK_EQUAL(OH_IPCParcel_Read##Kind(NULL, &value), OH_IPC_CHECK_PARAM_ERROR); \
        CHECK_EQUAL(OH_IPCParcel_Write##Kind(NULL, 1), OH_IPC_CHECK_PARAM_ERROR);     \
        OHIPCParcel *full = Full();                                                   \
        CHECK_EQUAL(OH_IPCParcel_Write##Kind(full, 1), OH_IPC_PARCEL_WRITE_ERROR);    \
        CHECK_EQUAL(OH_IPCParcel_GetDataSize(full), CAPACITY);                        \
        OH_IPCParcel_Destroy(full);                                                   \
        OH_IPCParcel_Destroy(parcel);                                                 \
    } while (0)

TEST(numbers_of_every_width_round_trip)
{
    ROUND_TRIP(int8_t, Int8, INT8_MIN, INT8_MAX, 0, -1);
    ROUND_TRIP(int16_t, Int16, INT16_MIN, INT16_MAX, 0, -1);
    ROUND_TRIP(int32_t, Int32, INT32_MIN, INT32_MAX, 0, -1);
    ROUND_TRIP(int64_t, Int64, INT64_MIN, INT64_MAX, 0, -1);
    ROUND_TRIP(uint8_t, Uint8, 0, UINT8_MAX);
    ROUND_TRIP(uint16_t, Uint16, 0, UINT16_MAX);
    ROUND_TRIP(uint32_t, Uint32, 0, UINT32_MAX);
    ROUND_TRIP(uint64_t, Uint64, 0, UINT64_MAX);
    ROUND_TRIP(float, Float, 0, -1, FLT_MIN, FLT_MAX);
    ROUND_TRIP(double, Double, 0, -1, DBL_MIN, DBL_MAX);
}

TEST(small_numbers_are_cut_out_of_larger_ones)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 0x12345), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt8(parcel, -1), OH_IPC_SUCCESS);
    int16_t small = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInt16(parcel, &small), OH_IPC_SUCCESS);
    CHECK_EQUAL(small, 0x2345);
    uint8_t byte = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadUint8(parcel, &byte), OH_IPC_SUCCESS);
    CHECK_EQUAL(byte, 255);
    OH_IPCParcel_Destroy(parcel);
}

TEST(a_full_parcel_takes_no_more)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    uint8_t *bytes = calloc(1, CAPACITY);
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, bytes, CAPACITY - 4), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt64(parcel, 1), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteString(parcel, "four"), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, bytes, 5), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, "a"), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_Append(parcel, parcel), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), CAPACITY - 4);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 1), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt8(parcel, 1), OH_IPC_PARCEL_WRITE_ERROR);
    free(bytes);
    OH_IPCParcel_Destroy(parcel);
}

TEST(sizes_and_positions_of_no_parcel_are_minus_one)
{
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(NULL), -1);
    CHECK_EQUAL(OH_IPCParcel_GetWritableBytes(NULL), -1);
    CHECK_EQUAL(OH_IPCParcel_GetReadableBytes(NULL), -1);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(NULL), -1);
    CHECK_EQUAL(OH_IPCParcel_GetWritePosition(NULL), -1);
}

TEST(sizes_and_positions_follow_what_is_written_and_read)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 0);
    CHECK_EQUAL(OH_IPCParcel_GetWritableBytes(parcel), 0);
    CHECK_EQUAL(OH_IPCParcel_GetReadableBytes(parcel), 0);
    CHECK_EQUAL(OH_IPCParcel_WriteInt8(parcel, 1), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt64(parcel, 2), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 12);
    CHECK_EQUAL(OH_IPCParcel_GetWritePosition(parcel), 12);
    CHECK_EQUAL(OH_IPCParcel_GetWritableBytes(parcel), 64 - 12);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(parcel), 0);
    int8_t value;
    CHECK_EQUAL(OH_IPCParcel_ReadInt8(parcel, &value), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(parcel), 4);
    CHECK_EQUAL(OH_IPCParcel_GetReadableBytes(parcel), 8);
    OH_IPCParcel_Destroy(parcel);
}

TEST(memory_comes_in_openharmonys_sizes)
{
    /* What is written first, and what then is left of the memory. */
    const int cases[][2] = {{4, 60}, {64, 0}, {65, 60}, {100, 28}, {1000, 24}, {4096, 0}, {4097, 4092}, {5000, 3192},
        {8192, 4096}, {204800, 0}};
    uint8_t *bytes = calloc(1, CAPACITY);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        OHIPCParcel *parcel = OH_IPCParcel_Create();
        CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, bytes, cases[i][0]), OH_IPC_SUCCESS);
        CHECK_EQUAL(OH_IPCParcel_GetWritableBytes(parcel), cases[i][1]);
        OH_IPCParcel_Destroy(parcel);
    }
    free(bytes);
}

TEST(rewinding_past_the_end_changes_nothing)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 1), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 2), OH_IPC_SUCCESS);
    int32_t value;
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(parcel, &value), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_RewindReadPosition(NULL, 0), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_RewindReadPosition(parcel, 9), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCParcel_RewindReadPosition(parcel, UINT32_MAX), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(parcel), 4);
    CHECK_EQUAL(OH_IPCParcel_RewindReadPosition(parcel, 8), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_RewindReadPosition(parcel, 0), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_ReadInt32(parcel, &value), OH_IPC_SUCCESS);
    CHECK_EQUAL(value, 1);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(NULL, 0), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(parcel, 9), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(parcel, UINT32_MAX), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(parcel, 3), OH_IPC_INNER_ERROR);
    CHECK_EQUAL(OH_IPCParcel_GetWritePosition(parcel), 8);
    CHECK_EQUAL(OH_IPCParcel_RewindWritePosition(parcel, 4), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 4);
    OH_IPCParcel_Destroy(parcel);
}

TEST(a_string_lives_as_long_as_its_parcel)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteString(parcel, "kept"), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteString(parcel, ""), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteString(parcel, "\xff\xfe no UTF-8"), OH_IPC_SUCCESS);
    const char *kept = OH_IPCParcel_ReadString(parcel);
    CHECK(strcmp(kept, "kept") == 0);
    CHECK(strcmp(OH_IPCParcel_ReadString(parcel), "") == 0);
    CHECK(strcmp(OH_IPCParcel_ReadString(parcel), "\xff\xfe no UTF-8") == 0);
    CHECK(OH_IPCParcel_ReadString(parcel) == NULL);
    /* The parcel outgrows its memory several times, and every string stays where it is. */
    const char *later[100];
    for (int i = 0; i < 100; i++) {
        char text[200];
        memset(text, 'a' + i % 26, sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        CHECK_EQUAL(OH_IPCParcel_WriteString(parcel, text), OH_IPC_SUCCESS);
        later[i] = OH_IPCParcel_ReadString(parcel);
        CHECK(later[i] != NULL);
    }
    CHECK(strcmp(kept, "kept") == 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQUAL(strlen(later[i]), 199);
        CHECK_EQUAL(later[i][0], 'a' + i % 26);
        CHECK_EQUAL(later[i][198], 'a' + i % 26);
    }
    OH_IPCParcel_Destroy(parcel);
}

TEST(strings_of_nothing_are_refused)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteString(parcel, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteString(NULL, "a"), OH_IPC_CHECK_PARAM_ERROR);
    CHECK(OH_IPCParcel_ReadString(NULL) == NULL);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, -1), OH_IPC_SUCCESS);
    CHECK(OH_IPCParcel_ReadString(parcel) == NULL);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(parcel), 0);
    OH_IPCParcel_Destroy(parcel);
}

TEST(a_buffer_that_is_too_long_is_not_read)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    const uint8_t bytes[] = {1, 2, 3, 4, 5};
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, bytes, 5), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 8);
    CHECK(OH_IPCParcel_ReadBuffer(parcel, 9) == NULL);
    CHECK(OH_IPCParcel_ReadBuffer(parcel, INT32_MAX) == NULL);
    CHECK(OH_IPCParcel_ReadBuffer(parcel, 0) == NULL);
    CHECK(OH_IPCParcel_ReadBuffer(parcel, -1) == NULL);
    CHECK(OH_IPCParcel_ReadBuffer(NULL, 1) == NULL);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(parcel), 0);
    const uint8_t *found = OH_IPCParcel_ReadBuffer(parcel, 5);
    CHECK(memcmp(found, bytes, 5) == 0);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(parcel), 8);
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, NULL, 5), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, bytes, 0), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(parcel, bytes, -5), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteBuffer(NULL, bytes, 5), OH_IPC_CHECK_PARAM_ERROR);
    OH_IPCParcel_Destroy(parcel);
}

TEST(an_interface_token_comes_back)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    const char *tokens[] = {"a", "ohos.example.IThing", "Gr\xc3\xbc\xc3\x9f" "e \xf0\x9f\x98\x80"};
    for (int i = 0; i < 3; i++) {
        CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, tokens[i]), OH_IPC_SUCCESS);
    }
    for (int i = 0; i < 3; i++) {
        char *token = NULL;
        int32_t len = 0;
        CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, &token, &len, Allocate), OH_IPC_SUCCESS);
        CHECK(strcmp(token, tokens[i]) == 0);
        CHECK_EQUAL(len, strlen(tokens[i]) + 1);
        free(token);
    }
    char *token = NULL;
    int32_t len = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, &token, &len, Allocate), OH_IPC_PARCEL_READ_ERROR);
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(NULL, &token, &len, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, NULL, &len, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, &token, NULL, Allocate), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, &token, &len, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK(token == NULL && len == 0);
    OH_IPCParcel_Destroy(parcel);
}

TEST(an_interface_token_has_1_to_204800_bytes)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, ""), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(NULL, "a"), OH_IPC_CHECK_PARAM_ERROR);
    char *text = malloc(CAPACITY + 2);
    memset(text, 'a', CAPACITY + 1);
    text[CAPACITY + 1] = '\0';
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, text), OH_IPC_CHECK_PARAM_ERROR);
    /* One that long is legal, and two bytes for each letter do not fit. */
    text[CAPACITY] = '\0';
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, text), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 0);
    text[102000] = '\0';
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, text), OH_IPC_SUCCESS);
    char *token = NULL;
    int32_t len = 0;
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, &token, &len, Allocate), OH_IPC_SUCCESS);
    CHECK_EQUAL(len, 102001);
    CHECK(strcmp(token, text) == 0);
    free(token);
    free(text);
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, "\xff"), OH_IPC_PARCEL_WRITE_ERROR);
    OH_IPCParcel_Destroy(parcel);
}

TEST(an_allocator_that_fails_reads_nothing)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteInterfaceToken(parcel, "token"), OH_IPC_SUCCESS);
    char other = 0;
    char *token = &other;
    int32_t len = 77;
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, &token, &len, AllocateNothing), OH_IPC_MEM_ALLOCATOR_ERROR);
    CHECK(token == NULL);
    CHECK_EQUAL(len, 77);
    CHECK_EQUAL(OH_IPCParcel_GetReadPosition(parcel), 0);
    CHECK_EQUAL(OH_IPCParcel_ReadInterfaceToken(parcel, &token, &len, Allocate), OH_IPC_SUCCESS);
    CHECK(strcmp(token, "token") == 0);
    CHECK_EQUAL(len, 6);
    free(token);
    OH_IPCParcel_Destroy(parcel);
}

static int Answer(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData)
{
    (void)code, (void)data, (void)reply, (void)userData;
    return OH_IPC_SUCCESS;
}

TEST(objects_are_read_as_they_were_written)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 5), OH_IPC_SUCCESS);
    OH_IPCRemoteStub_Destroy(stub);
    int64_t number;
    CHECK_EQUAL(OH_IPCParcel_ReadInt64(parcel, &number), OH_IPC_PARCEL_READ_ERROR);
    stub = OH_IPCParcel_ReadRemoteStub(parcel);
    OHIPCRemoteProxy *proxy = OH_IPCParcel_ReadRemoteProxy(parcel);
    CHECK(stub != NULL && proxy != NULL);
    CHECK(OH_IPCParcel_ReadRemoteProxy(parcel) == NULL);
    CHECK(OH_IPCParcel_ReadRemoteStub(parcel) == NULL);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(parcel, proxy), OH_IPC_SUCCESS);
    OH_IPCRemoteStub_Destroy(stub);
    OH_IPCRemoteProxy_Destroy(proxy);

    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(parcel, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(parcel, proxy), OH_IPC_CHECK_PARAM_ERROR);
    CHECK(OH_IPCParcel_ReadRemoteStub(NULL) == NULL);
    CHECK(OH_IPCParcel_ReadRemoteProxy(NULL) == NULL);
    OH_IPCParcel_Destroy(parcel);
}

TEST(a_parcel_carries_64_objects)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    for (int i = 0; i < 64; i++) {
        CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_SUCCESS);
    }
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(parcel, stub), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(NULL, stub), OH_IPC_CHECK_PARAM_ERROR);
    OHIPCRemoteProxy *proxy = OH_IPCParcel_ReadRemoteProxy(parcel);
    CHECK(proxy != NULL);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(parcel, proxy), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteProxy(NULL, proxy), OH_IPC_CHECK_PARAM_ERROR);
    OH_IPCRemoteProxy_Destroy(proxy);
    OH_IPCRemoteStub_Destroy(stub);
    OH_IPCParcel_Destroy(parcel);
}

TEST(file_descriptors_are_duplicated)
{
    int pipes[2];
    CHECK(pipe(pipes) == 0);
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteFileDescriptor(parcel, pipes[1]), OH_IPC_SUCCESS);
    close(pipes[1]);
    int32_t fd = -1;
    CHECK_EQUAL(OH_IPCParcel_ReadFileDescriptor(parcel, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_ReadFileDescriptor(NULL, &fd), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_ReadFileDescriptor(parcel, &fd), OH_IPC_SUCCESS);
    CHECK(fd >= 0);
    CHECK_EQUAL(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_EQUAL(write(fd, "x", 1), 1);
    close(fd);
    CHECK_EQUAL(OH_IPCParcel_ReadFileDescriptor(parcel, &fd), OH_IPC_PARCEL_READ_ERROR);
    /* With the parcel goes the last writer. */
    OH_IPCParcel_Destroy(parcel);
    char byte;
    CHECK_EQUAL(read(pipes[0], &byte, 1), 1);
    CHECK_EQUAL(read(pipes[0], &byte, 1), 0);
    close(pipes[0]);
}

TEST(what_is_no_open_descriptor_is_not_written)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    CHECK_EQUAL(OH_IPCParcel_WriteFileDescriptor(NULL, 0), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteFileDescriptor(parcel, -1), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_WriteFileDescriptor(parcel, 1000000), OH_IPC_PARCEL_WRITE_ERROR);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 0);
    OH_IPCParcel_Destroy(parcel);
}

TEST(a_parcel_can_be_appended)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    OHIPCParcel *other = OH_IPCParcel_Create();
    OHIPCRemoteStub *stub = OH_IPCRemoteStub_Create("example", Answer, NULL, NULL);
    CHECK_EQUAL(OH_IPCParcel_Append(parcel, other), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 0);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 1), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteRemoteStub(other, stub), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_WriteString(other, "text"), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_Append(parcel, other), OH_IPC_SUCCESS);
    OH_IPCParcel_Destroy(other);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 20);
    CHECK_EQUAL(OH_IPCParcel_Append(parcel, parcel), OH_IPC_SUCCESS);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), 40);
    for (int i = 0; i < 2; i++) {
        int32_t value = 0;
        CHECK_EQUAL(OH_IPCParcel_ReadInt32(parcel, &value), OH_IPC_SUCCESS);
        CHECK_EQUAL(value, 1);
        OHIPCRemoteStub *found = OH_IPCParcel_ReadRemoteStub(parcel);
        CHECK(found != NULL);
        OH_IPCRemoteStub_Destroy(found);
        CHECK(strcmp(OH_IPCParcel_ReadString(parcel), "text") == 0);
    }
    CHECK_EQUAL(OH_IPCParcel_Append(parcel, NULL), OH_IPC_CHECK_PARAM_ERROR);
    CHECK_EQUAL(OH_IPCParcel_Append(NULL, parcel), OH_IPC_CHECK_PARAM_ERROR);
    OH_IPCRemoteStub_Destroy(stub);
    OH_IPCParcel_Destroy(parcel);
}

TEST(a_destroyed_parcel_is_none)
{
    OH_IPCParcel_Destroy(NULL);
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    OH_IPCParcel_Destroy(parcel);
    OH_IPCParcel_Destroy(parcel);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(parcel), -1);
    CHECK_EQUAL(OH_IPCParcel_WriteInt32(parcel, 1), OH_IPC_CHECK_PARAM_ERROR);
    /* Another one in its place is another one. */
    OHIPCParcel *next = OH_IPCParcel_Create();
    CHECK(next != parcel);
    OH_IPCParcel_Destroy(parcel);
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(next), 0);
    CHECK_EQUAL(OH_IPCParcel_Append(next, parcel), OH_IPC_CHECK_PARAM_ERROR);
    OH_IPCParcel_Destroy(next);
    /* Nor is what never was one. */
    int number = 0;
    CHECK_EQUAL(OH_IPCParcel_GetDataSize((OHIPCParcel *)&number), -1);
    OH_IPCParcel_Destroy((OHIPCParcel *)&number);
}

static OHIPCParcel *g_shared;

static void *WriteMany(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) {
        CHECK_EQUAL(OH_IPCParcel_WriteInt32(g_shared, i), OH_IPC_SUCCESS);
    }
    return NULL;
}

TEST(threads_with_one_parcel_take_turns)
{
    g_shared = OH_IPCParcel_Create();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, WriteMany, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    CHECK_EQUAL(OH_IPCParcel_GetDataSize(g_shared), 16000);
    OH_IPCParcel_Destroy(g_shared);
}

int main(int argc, char **argv)
{
    return RunTests(argc, argv);
}
