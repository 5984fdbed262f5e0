//! What a program has of the process of the bus that starts it.

use std::{collections::BTreeSet, process::Command};

use softbus::{
    CallOption, Node, Parcel, RemoteObject, ServiceId, ServiceOptions, rpc::ashmem::Ashmem,
};

use crate::{
    SOON,
    door::{Device, Echo},
    run,
    stage::open,
};

const OTHER: ServiceId = ServiceId::new(8).unwrap();

/// The descriptors of a program that is started now, as it sees them.
fn inherited() -> BTreeSet<String> {
    let output = Command::new("ls").arg("/proc/self/fd").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// Everything that a host and its processes have: the network, the socket and its lock, sessions with the host and with each
/// other, shared memory, what stands for a process.
#[test]
fn a_program_that_is_started_has_none_of_our_descriptors() {
    run(async {
        let (before, few) = (inherited(), open());
        let device = Device::start(|builder, path| builder.host_local(path)).await;
        let samgr = device.process.samgr();
        let (echo, options) = (RemoteObject::new(Echo), ServiceOptions::local());
        samgr.register(OTHER, &echo, options).await.unwrap();
        let another = Node::attach(&device.path).await.unwrap();
        let direct = another.samgr().get(OTHER, &another.device_id()).await;
        let direct = direct.unwrap();
        let _link = direct.link_to_death(|_| {}).unwrap();
        let memory = Ashmem::create("shared", 4096).unwrap();
        let mut data = Parcel::new();
        data.write_u32(7).unwrap();
        data.write_ashmem(&memory).unwrap();
        data.write_raw_data(vec![7; 1 << 20]).unwrap();
        let option = CallOption::two_way().wait(SOON);
        direct.send_request(1, &data, option).await.unwrap();
        assert!(open() > few + 20, "much is open");
        assert_eq!(inherited(), before);
        drop((data, memory));
        another.shutdown().await;
        device.process.shutdown().await;
        device.host.shutdown().await;
    });
}
