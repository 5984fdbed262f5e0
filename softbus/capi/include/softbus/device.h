/* What OpenHarmony leaves to other kits: this process on a bus of devices. Part of soft-bus, MIT OR Apache-2.0.
 *
 *     SoftBus_NodeOptions options = {.size = sizeof(options), .identityDirectory = "me", .mdns = 1};
 *     SoftBusNode *node = NULL;
 *     if (SoftBus_Node_Start(&options, &node) == SOFTBUS_OK) { ... }
 *
 * A device id is the text that SoftBus_Node_GetDeviceId() and `softbus id` print. Functions return SOFTBUS_OK or an error;
 * SoftBus_LastError() has words for it. Handles are checked as those of the IPC Kit are: SOFTBUS_ERR_ARGUMENT, also for a NULL
 * where a result or a text is to be. In a fork of a process that has used the library what needs the bus is
 * SOFTBUS_ERR_FAILED. */
#ifndef SOFTBUS_DEVICE_H
#define SOFTBUS_DEVICE_H

#include <stdint.h>

#include "../IPCKit/ipc_cparcel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What the functions of this header return. */
typedef enum {
    /** It worked. */
    SOFTBUS_OK = 0,
    /** An argument is NULL, destroyed, or none of what it may be. */
    SOFTBUS_ERR_ARGUMENT = 1,
    /** Nothing is registered under this id there. */
    SOFTBUS_ERR_ABSENT = 2,
    /** It is registered, for its own device only. */
    SOFTBUS_ERR_NOT_DISTRIBUTED = 3,
    /** A rule does not allow it. To a device that no rule names for a service this is all that is said, also if there is none. */
    SOFTBUS_ERR_REFUSED = 4,
    /** One of the two devices does not trust the other: SoftBus_Node_Trust() on both. */
    SOFTBUS_ERR_NOT_TRUSTED = 5,
    /** The device was not found, or does not answer. */
    SOFTBUS_ERR_UNREACHABLE = 6,
    /** It did not come in time. */
    SOFTBUS_ERR_TIMED_OUT = 7,
    /** A limit is reached; later there may be room. */
    SOFTBUS_ERR_BUSY = 8,
    /** The directory of the identity, or the list of devices, is not there, not ours alone, or cannot be read or written. */
    SOFTBUS_ERR_IDENTITY = 9,
    /** The address or port cannot be used. */
    SOFTBUS_ERR_ADDRESS = 10,
    /** It failed in another way. */
    SOFTBUS_ERR_FAILED = 11,
} SoftBus_Error;

/** This process on the bus. */
struct SoftBusNode;
typedef struct SoftBusNode SoftBusNode;

/** Bytes that a device id takes, its NUL included. */
#define SOFTBUS_DEVICE_ID_SIZE 65

/** How a node is started. All zeros but `size` and `identityDirectory` is a start. */
typedef struct {
    /** sizeof(SoftBus_NodeOptions), so that later versions can have more. */
    uint32_t size;
    /** UDP port on all addresses; 0 is any. */
    uint16_t port;
    /** 1: finds devices, and is found, by mDNS on all interfaces. */
    uint8_t mdns;
    uint8_t reserved;
    /** Who this device is: a directory that only this user may read, made if it is not there. Required. */
    const char *identityDirectory;
    /** Listens there alone, for example "192.168.1.5:7000". NULL: on all addresses. */
    const char *listen;
    /** A file with devices that are trusted, one to a line: id, space, name. NULL: none beside those that are already. */
    const char *trustFile;
    /** Devices and where they may be, one to a line: id, space, address and port. NULL: none. */
    const char *peers;
    /** A name for people, announced to everybody. NULL: none. */
    const char *name;
} SoftBus_NodeOptions;

/** Attaches to the process that hosts the bus of this device, `softbus run --local` for one, at the socket `path`; NULL is where
 *  that is by default. The node then is of that device: it has its id, and the host's network and services. It has no port, and
 *  whom the device trusts is the host's affair: SoftBus_Node_Trust() and its like are SOFTBUS_ERR_ARGUMENT. It ends with
 *  SoftBus_Node_Stop(); when the host ends, it attaches to the next one by itself. _ARGUMENT, _UNREACHABLE (nobody hosts there,
 *  or does not answer within 5 s), _REFUSED (not for this user), _BUSY (256 processes are attached, 64 of a user that is not the
 *  host's, or the host is short of file descriptors), _FAILED (what listens there is no host, for one). */
int SoftBus_Node_Attach(const char *path, SoftBusNode **node);
/** Starts a node; it ends with SoftBus_Node_Stop(). SOFTBUS_ERR_ARGUMENT, _IDENTITY, _ADDRESS, _BUSY (`trustFile` has more
 *  devices than can be trusted), _FAILED. */
int SoftBus_Node_Start(const SoftBus_NodeOptions *options, SoftBusNode **node);
/** Takes leave of other devices and ends. Up to 2 s. */
void SoftBus_Node_Stop(SoftBusNode *node);
/** The device id, in `text` of SOFTBUS_DEVICE_ID_SIZE bytes at least. SOFTBUS_ERR_ARGUMENT. */
int SoftBus_Node_GetDeviceId(const SoftBusNode *node, char *text, uint32_t size);
/** The UDP port on which it listens; 0 for an invalid node. */
uint16_t SoftBus_Node_GetPort(const SoftBusNode *node);

/** Trusts a device from now on. `name` is what the user calls it, up to 64 characters and none of them a control character, or
 *  NULL. SOFTBUS_ERR_ARGUMENT, _REFUSED (the user has blocked it: SoftBus_Node_Forget() first), _BUSY (16,384 are), _IDENTITY
 *  (not to be written down, so it is not trusted). */
int SoftBus_Node_Trust(SoftBusNode *node, const char *deviceId, const char *name);
/** Trusts it no more. SOFTBUS_ERR_ARGUMENT, _ABSENT (it was not trusted), _IDENTITY (not to be written down: it is trusted no more
 *  until this process ends). */
int SoftBus_Node_Forget(SoftBusNode *node, const char *deviceId);
/** Trusts the devices of a list, a file as SoftBus_NodeOptions::trustFile, or none of them. SOFTBUS_ERR_ARGUMENT, _BUSY,
 *  _IDENTITY (also if a line is wrong, which SoftBus_LastError() names). */
int SoftBus_Node_LoadTrust(SoftBusNode *node, const char *path);

/** Who may get and call a service. */
typedef enum {
    /** This device. */
    SOFTBUS_LOCAL = 0,
    /** Every device that this one trusts. */
    SOFTBUS_DISTRIBUTED = 1,
} SoftBus_Access;

/** Registers a stub under an id, 1 to 0x00ffffff. What stood there before is removed. _ARGUMENT, _BUSY (1,000 services); for an
 *  attached node, which waits for its host's answer for up to 8 s: _BUSY (1,000 services on the device, or 256 of a user that is
 *  not the host's), _REFUSED (a process of another user has this id, or the owner's policy does not let this user register it),
 *  _UNREACHABLE (there is no host; it is registered here, and with the host when there is one). */
int SoftBus_Service_Add(SoftBusNode *node, uint32_t serviceId, const OHIPCRemoteStub *stub, SoftBus_Access access);
/** Removes it: its proxies die. SOFTBUS_ERR_ARGUMENT, _ABSENT. */
int SoftBus_Service_Remove(SoftBusNode *node, uint32_t serviceId);
/** Gets a proxy of a service of a device, or of this one if `deviceId` is NULL; to be destroyed. Looks for the device for
 *  up to `waitMs`; 0 is 8 s. _ARGUMENT, _ABSENT, _NOT_DISTRIBUTED, _REFUSED, _NOT_TRUSTED, _UNREACHABLE, _TIMED_OUT (the
 *  answer, or the start of a service that is started on demand, takes longer), _BUSY (too much is asked there, or the service
 *  failed to start too often), _FAILED (it failed to start, for one). */
int SoftBus_Service_Get(SoftBusNode *node, uint32_t serviceId, const char *deviceId, uint32_t waitMs,
    OHIPCRemoteProxy **proxy);
/** As SoftBus_Service_Get(), and waits for a service that is not there yet, or not for this device: SOFTBUS_ERR_TIMED_OUT in the
 *  place of _ABSENT, _NOT_DISTRIBUTED and _REFUSED. */
int SoftBus_Service_WaitFor(SoftBusNode *node, uint32_t serviceId, const char *deviceId, uint32_t waitMs,
    OHIPCRemoteProxy **proxy);

/** Words for the last error on this thread, of this header or the IPC Kit's, also where that was a NULL or -1. Until the next
 *  error. */
const char *SoftBus_LastError(void);
/** How many handles this process has not destroyed, of all kinds: to find leaks, which no tool for memory sees. */
uint32_t SoftBus_HandleCount(void);

#ifdef __cplusplus
}
#endif

#endif
