/* Parcels of OpenHarmony's IPC Kit. Part of soft-bus, MIT OR Apache-2.0.
 *
 * Every function checks its handles: one that is NULL, destroyed or no handle at all is OH_IPC_CHECK_PARAM_ERROR, -1 or
 * NULL, whatever the function returns on an error, and nothing happens. A parcel may be used from any thread, by one at a
 * time: two that use it at once take turns, and which comes first is not defined.
 *
 * A parcel takes 204,800 bytes. All values take 4 bytes or a multiple, and are read in the order in which they were
 * written. A write that fails changes nothing, and neither does a read. */
#ifndef SOFTBUS_IPCKIT_IPC_CPARCEL_H
#define SOFTBUS_IPCKIT_IPC_CPARCEL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/** What arguments and results travel in. A handle: it points to nothing a program could look at. */
struct OHIPCParcel;
typedef struct OHIPCParcel OHIPCParcel;

/** A reference to an object elsewhere. */
struct OHIPCRemoteProxy;
typedef struct OHIPCRemoteProxy OHIPCRemoteProxy;

/** An object of this process. */
struct OHIPCRemoteStub;
typedef struct OHIPCRemoteStub OHIPCRemoteStub;

/** Allocates `len` bytes for a string that a function of the kit returns, or returns NULL. The caller frees them. */
typedef void *(*OH_IPC_MemAllocator)(int32_t len);

/** An empty parcel; NULL if there is no memory. */
OHIPCParcel *OH_IPCParcel_Create(void);
/** Ends a parcel, and with it what it carries and every pointer read from it. NULL and a destroyed one are ignored; so are
 *  the parcels that a request callback is given, which are not its own. */
void OH_IPCParcel_Destroy(OHIPCParcel *parcel);

/** Bytes in the parcel; -1 for an invalid one, as with the four that follow. */
int OH_IPCParcel_GetDataSize(const OHIPCParcel *parcel);
/** Bytes that fit into the memory the parcel has at this moment, which grows with it: 0 for a new one. */
int OH_IPCParcel_GetWritableBytes(const OHIPCParcel *parcel);
/** Bytes behind the read position. */
int OH_IPCParcel_GetReadableBytes(const OHIPCParcel *parcel);
/** Where the next value is read, in bytes. */
int OH_IPCParcel_GetReadPosition(const OHIPCParcel *parcel);
/** Where the next value is written, in bytes. */
int OH_IPCParcel_GetWritePosition(const OHIPCParcel *parcel);
/** Reads from `newReadPos` on: 0 to the data size, else OH_IPC_INNER_ERROR. */
int OH_IPCParcel_RewindReadPosition(OHIPCParcel *parcel, uint32_t newReadPos);
/** Cuts the parcel at `newWritePos`, with the objects behind it: a multiple of 4 up to the data size, else
 *  OH_IPC_INNER_ERROR. */
int OH_IPCParcel_RewindWritePosition(OHIPCParcel *parcel, uint32_t newWritePos);

/* Numbers. Writing: OH_IPC_PARCEL_WRITE_ERROR if the parcel is full or was received. Reading: OH_IPC_PARCEL_READ_ERROR
 * if there is too little left; OH_IPC_CHECK_PARAM_ERROR if `value` is NULL. Those of 8 and 16 bits take 4 bytes, and are
 * cut off when something larger was written. */
int OH_IPCParcel_WriteInt8(OHIPCParcel *parcel, int8_t value);
int OH_IPCParcel_ReadInt8(const OHIPCParcel *parcel, int8_t *value);
int OH_IPCParcel_WriteInt16(OHIPCParcel *parcel, int16_t value);
int OH_IPCParcel_ReadInt16(const OHIPCParcel *parcel, int16_t *value);
int OH_IPCParcel_WriteInt32(OHIPCParcel *parcel, int32_t value);
int OH_IPCParcel_ReadInt32(const OHIPCParcel *parcel, int32_t *value);
int OH_IPCParcel_WriteInt64(OHIPCParcel *parcel, int64_t value);
int OH_IPCParcel_ReadInt64(const OHIPCParcel *parcel, int64_t *value);
int OH_IPCParcel_WriteUint8(OHIPCParcel *parcel, uint8_t value);
int OH_IPCParcel_ReadUint8(const OHIPCParcel *parcel, uint8_t *value);
int OH_IPCParcel_WriteUint16(OHIPCParcel *parcel, uint16_t value);
int OH_IPCParcel_ReadUint16(const OHIPCParcel *parcel, uint16_t *value);
int OH_IPCParcel_WriteUint32(OHIPCParcel *parcel, uint32_t value);
int OH_IPCParcel_ReadUint32(const OHIPCParcel *parcel, uint32_t *value);
int OH_IPCParcel_WriteUint64(OHIPCParcel *parcel, uint64_t value);
int OH_IPCParcel_ReadUint64(const OHIPCParcel *parcel, uint64_t *value);
int OH_IPCParcel_WriteFloat(OHIPCParcel *parcel, float value);
int OH_IPCParcel_ReadFloat(const OHIPCParcel *parcel, float *value);
int OH_IPCParcel_WriteDouble(OHIPCParcel *parcel, double value);
int OH_IPCParcel_ReadDouble(const OHIPCParcel *parcel, double *value);

/** Writes the bytes of a string up to and with its NUL, without a length. */
int OH_IPCParcel_WriteString(OHIPCParcel *parcel, const char *str);
/** The string at the read position, in the parcel's memory: it lives as long as the parcel, until the parcel is rewound to
 *  before it and written again, or receives another reply. NULL if there is none. */
const char *OH_IPCParcel_ReadString(const OHIPCParcel *parcel);
/** Writes `len` bytes, at least one, without their number. */
int OH_IPCParcel_WriteBuffer(OHIPCParcel *parcel, const uint8_t *buffer, int32_t len);
/** The next `len` bytes, at least one, in the parcel's memory as with a string. NULL if there are fewer. */
const uint8_t *OH_IPCParcel_ReadBuffer(const OHIPCParcel *parcel, int32_t len);

/** Writes a reference to an object of this process. The parcel keeps the object. At most 64 objects to a parcel. */
int OH_IPCParcel_WriteRemoteStub(OHIPCParcel *parcel, const OHIPCRemoteStub *stub);
/** Reads a reference as a stub: one of this process that has come home. One of an object elsewhere is a handle too, which can
 *  be written and destroyed. A new handle, to be destroyed; NULL if there is no object here. */
OHIPCRemoteStub *OH_IPCParcel_ReadRemoteStub(const OHIPCParcel *parcel);
/** Writes a reference to an object elsewhere. Whether the receiver may have it is found out when the parcel is sent. */
int OH_IPCParcel_WriteRemoteProxy(OHIPCParcel *parcel, const OHIPCRemoteProxy *proxy);
/** Reads a reference as a proxy, which may also be called when it is a stub of this process. A new handle, to be destroyed;
 *  NULL if there is no object here. */
OHIPCRemoteProxy *OH_IPCParcel_ReadRemoteProxy(const OHIPCParcel *parcel);

/** Writes a duplicate of an open descriptor; OH_IPC_PARCEL_WRITE_ERROR for one that is not open. The parcel then goes to processes of this device only: sending it to another
 *  device is OH_IPC_INNER_ERROR. */
int OH_IPCParcel_WriteFileDescriptor(OHIPCParcel *parcel, int32_t fd);
/** Reads a descriptor: a duplicate, to be closed by the caller. */
int OH_IPCParcel_ReadFileDescriptor(const OHIPCParcel *parcel, int32_t *fd);

/** Writes all of another parcel, objects included, wherever its read position is. A parcel may be appended to itself. */
int OH_IPCParcel_Append(OHIPCParcel *parcel, const OHIPCParcel *data);

/** Writes the name of the interface that a request is meant for: 1 to 204,800 bytes, else
 *  OH_IPC_CHECK_PARAM_ERROR, of UTF-8, else OH_IPC_PARCEL_WRITE_ERROR. It takes twice its length, so that above about
 *  102,000 bytes there is no room for it. */
int OH_IPCParcel_WriteInterfaceToken(OHIPCParcel *parcel, const char *token);
/** Reads such a name into memory of `allocator`; `len` counts its NUL. When `allocator` returns NULL:
 *  OH_IPC_MEM_ALLOCATOR_ERROR, `*token` is NULL, and the same can be read again. */
int OH_IPCParcel_ReadInterfaceToken(const OHIPCParcel *parcel, char **token, int32_t *len,
    OH_IPC_MemAllocator allocator);

#ifdef __cplusplus
}
#endif

#endif
