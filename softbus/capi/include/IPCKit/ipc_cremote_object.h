/* Stubs, proxies and death recipients of OpenHarmony's IPC Kit. Part of soft-bus, MIT OR Apache-2.0.
 *
 * Request and death callbacks run on threads of the library, and request callbacks also on threads that have joined them
 * (OH_IPCSkeleton_JoinWorkThread()). Destroy callbacks run where the last reference goes, which may be within a call of the
 * program's own. All run outside of the library's locks, and may call every function, also those that destroy what called
 * them. A callback must not throw. Handles may be used from any thread.
 *
 * OH_IPCRemoteProxy_Destroy(), OH_IPCRemoteProxy_RemoveDeathRecipient() and OH_IPCDeathRecipient_Destroy() wait for a death
 * callback that runs, which OpenHarmony's do not: a program that holds a mutex its death callback takes must not call them
 * while it does. */
#ifndef SOFTBUS_IPCKIT_IPC_CREMOTE_OBJECT_H
#define SOFTBUS_IPCKIT_IPC_CREMOTE_OBJECT_H

#include <stdint.h>

#include "ipc_cparcel.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Somebody who wants to know when an object dies. */
struct OHIPCDeathRecipient;
typedef struct OHIPCDeathRecipient OHIPCDeathRecipient;

/** Answers a request. Neither parcel is the callback's own: they end when it returns.
 *
 *  Returns OH_IPC_SUCCESS, one of the errors of the kit up to OH_IPC_INNER_ERROR, or a number of its own from
 *  OH_IPC_USER_ERROR_CODE_MIN to OH_IPC_USER_ERROR_CODE_MAX: that is what the caller's SendRequest returns. Any other
 *  number arrives as OH_IPC_INVALID_USER_ERROR_CODE. With an error nothing of `reply` arrives. */
typedef int (*OH_OnRemoteRequestCallback)(uint32_t code, const OHIPCParcel *data, OHIPCParcel *reply, void *userData);
/** Told once, when the last reference to a stub is gone, here and elsewhere. */
typedef void (*OH_OnRemoteDestroyCallback)(void *userData);

/** Makes an object. `descriptor` has 1 to 204,800 bytes of UTF-8 and `requestCallback` is there, or the result is NULL.
 *  Requests run side by side, on up to OH_IPCSkeleton_SetMaxWorkThreadNum() threads of the process. */
OHIPCRemoteStub *OH_IPCRemoteStub_Create(const char *descriptor, OH_OnRemoteRequestCallback requestCallback,
    OH_OnRemoteDestroyCallback destroyCallback, void *userData);
/** Drops this reference. The object lives while a parcel, a proxy elsewhere or a running request holds it. */
void OH_IPCRemoteStub_Destroy(OHIPCRemoteStub *stub);
/** Drops this reference and takes its death recipients back, waiting for one that runs, unless it is what calls this. */
void OH_IPCRemoteProxy_Destroy(OHIPCRemoteProxy *proxy);

/** Whether a request waits for its reply. */
typedef enum {
    /** It does. */
    OH_IPC_REQUEST_MODE_SYNC = 0,
    /** It does not. Those of one proxy run one at a time, in the order in which they were sent. */
    OH_IPC_REQUEST_MODE_ASYNC = 1,
} OH_IPC_RequestMode;

/** How a request is sent. */
#pragma pack(push, 4)
typedef struct {
    OH_IPC_RequestMode mode;
    /** Seconds that a request to another device waits: 0 is 8, and more than 3,000 is 3,000. A request within this device
     *  waits until it is answered or its receiver is dead. (OpenHarmony has the field and ignores it.) */
    uint32_t timeout;
    /** NULL. */
    void *reserved;
} OH_IPC_MessageOption;
#pragma pack(pop)

/** Sends a request. `data` can be sent again, also after an error. `reply` is replaced if the request succeeds and waits.
 *
 *  What is looked at, in this order: `proxy` and `data` are valid and `option->reserved` is NULL, or
 *  OH_IPC_CHECK_PARAM_ERROR; `code` is in 0x01..0x00ffffff, or OH_IPC_CODE_OUT_OF_RANGE; `reply` is valid unless the
 *  request is one that does not wait, or OH_IPC_CHECK_PARAM_ERROR. Without an option it waits.
 *
 *  Then: OH_IPC_DEAD_REMOTE_OBJECT if the object is gone, what the request callback has returned, or OH_IPC_INNER_ERROR
 *  for every other failure, that nobody answered in time among them. */
int OH_IPCRemoteProxy_SendRequest(const OHIPCRemoteProxy *proxy, uint32_t code, const OHIPCParcel *data,
    OHIPCParcel *reply, const OH_IPC_MessageOption *option);
/** Asks the object for its descriptor, into memory of `allocator`; `len` counts its NUL. OH_IPC_DEAD_REMOTE_OBJECT,
 *  OH_IPC_MEM_ALLOCATOR_ERROR (then `*descriptor` is NULL), OH_IPC_INNER_ERROR. */
int OH_IPCRemoteProxy_GetInterfaceDescriptor(OHIPCRemoteProxy *proxy, char **descriptor, int32_t *len,
    OH_IPC_MemAllocator allocator);

/** Told once for each registration: the object is dead. */
typedef void (*OH_OnDeathRecipientCallback)(void *userData);
/** Told once, when the last reference to a recipient is gone: its handle and its registrations. */
typedef void (*OH_OnDeathRecipientDestroyCallback)(void *userData);

/** Makes a recipient; NULL without a callback. */
OHIPCDeathRecipient *OH_IPCDeathRecipient_Create(OH_OnDeathRecipientCallback deathRecipientCallback,
    OH_OnDeathRecipientDestroyCallback destroyCallback, void *userData);
/** Drops this reference, waiting for the callback if it runs, unless it is what calls this. Its registrations stay. */
void OH_IPCDeathRecipient_Destroy(OHIPCDeathRecipient *recipient);
/** Asks to be told when the object dies; several times is told several times. The registration is this handle's: it ends
 *  with the proxy. OH_IPC_INNER_ERROR for a dead object, a stub of this process, an object of another device that is no
 *  registered service there, and the 65th of an object. */
int OH_IPCRemoteProxy_AddDeathRecipient(OHIPCRemoteProxy *proxy, OHIPCDeathRecipient *recipient);
/** Takes the first such registration back: the callback does not start afterwards, and has ended if it ran, unless it is
 *  what calls this. OH_IPC_INNER_ERROR if there is none, or it has been told. */
int OH_IPCRemoteProxy_RemoveDeathRecipient(OHIPCRemoteProxy *proxy, OHIPCDeathRecipient *recipient);
/** 1 if the object is dead or the proxy is invalid, else 0. */
int OH_IPCRemoteProxy_IsRemoteDead(const OHIPCRemoteProxy *proxy);

#ifdef __cplusplus
}
#endif

#endif
