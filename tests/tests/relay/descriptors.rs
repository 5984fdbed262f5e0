//! File descriptors and shared memory do not leave the device, also where a host is in between.

use std::os::fd::OwnedFd;

use softbus::rpc::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    ashmem::Ashmem, async_trait, parcel::PassObjectError,
};

use crate::{
    objects::{hand, shelf},
    world::World,
};

/// Takes what comes, a descriptor too.
const TAKE: u32 = 1;
/// Answers with a pipe.
const GIVE: u32 = 2;
/// Answers with shared memory.
const SHARE: u32 = 3;

struct Desk;

fn pipe() -> OwnedFd {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

fn memory() -> Ashmem {
    Ashmem::create("desk", 4096).unwrap()
}

#[async_trait]
impl RemoteStub for Desk {
    fn descriptor(&self) -> &str {
        "test.Desk"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        _: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            TAKE => Ok(()),
            GIVE => Ok(reply.write_file_descriptor(pipe())?),
            SHARE => Ok(reply.write_ashmem(&memory())?),
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

/// A desk on another device refuses what it would be given, and gives nothing.
async fn takes_and_gives_no_descriptor(desk: &RemoteObject) {
    let option = CallOption::two_way();
    let (mut file, mut shared) = (Parcel::new(), Parcel::new());
    file.write_file_descriptor(pipe()).unwrap();
    shared.write_ashmem(&memory()).unwrap();
    for data in [file, shared] {
        let error = desk.send_request(TAKE, &data, option).await.unwrap_err();
        let reason = PassObjectError::Descriptor;
        assert_eq!(error, SendRequestError::Pass { index: 0, reason });
    }
    for code in [GIVE, SHARE] {
        let error = desk.send_request(code, &Parcel::new(), option).await;
        assert_eq!(error.unwrap_err(), SendRequestError::ReplyPassRefused);
    }
    // Nothing else is wrong with it.
    let taken = desk.send_request(TAKE, &Parcel::new(), option).await;
    taken.unwrap();
}

/// Row 46, for a process.
#[tokio::test(start_paused = true)]
async fn descriptors_do_not_pass_the_host_to_another_device() {
    let world = World::new().await;
    world.other.offer(&RemoteObject::new(Desk));
    takes_and_gives_no_descriptor(&world.get().await).await;
}

#[tokio::test(start_paused = true)]
async fn descriptors_do_not_pass_the_host_from_another_device() {
    let world = World::new().await;
    let (stub, there) = shelf();
    world.other.offer(&stub);
    let desk = RemoteObject::new(Desk);
    hand(&world.get().await, &desk).await.unwrap();
    let of_process = there.kept.lock().unwrap()[0].clone();
    takes_and_gives_no_descriptor(&of_process).await;
}

/// Within the device they go, also between two processes that the host has joined.
#[tokio::test(start_paused = true)]
async fn descriptors_go_from_a_process_to_its_host() {
    let world = World::new().await;
    world.host.offer(&RemoteObject::new(Desk));
    let desk = world.service_of_host(&world.process).await;
    let mut data = Parcel::new();
    data.write_file_descriptor(pipe()).unwrap();
    let option = CallOption::two_way();
    desk.send_request(TAKE, &data, option).await.unwrap();
    let reply = desk.send_request(SHARE, &Parcel::new(), option).await;
    assert_eq!(reply.unwrap().read_ashmem().unwrap().size(), 4096);
}
