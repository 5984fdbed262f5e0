/* Prints what it reads from a parcel. */
#include <IPCKit/ipc_kit.h>
#include <stdio.h>

int main(void)
{
    OHIPCParcel *parcel = OH_IPCParcel_Create();
    OH_IPCParcel_WriteString(parcel, "hello from a parcel");
    puts(OH_IPCParcel_ReadString(parcel));
    OH_IPCParcel_Destroy(parcel);
    return 0;
}
