//! Processes of another user, on a bus that lets them in. Only root can start them.

use std::{fs::Permissions, io, os::unix::fs::PermissionsExt};

use rustix::process::getuid;
use softbus::{
    CallOption, DeviceId, Node, Policy, ServiceOptions,
    certs::RegisterRule,
    error::StartNodeError,
    local::LocalError,
    rpc::{AddServiceError, GetServiceError, dump::DumpError},
};
use testkit::{
    process::Process,
    scenarios::workbench::{SERVICE, reverse, workbench},
    skip::skip,
    wait::wait_until_async,
};

use crate::{Device, SOON, event, tell};

/// Nobody, on most systems, and not us.
const OTHER_USER: u32 = 65534;

/// A process of another user that has attached, and the device; nothing after a loud skip where there can be none.
async fn stranger() -> Option<(Device, Process)> {
    if !getuid().is_root() {
        skip("only root can start a process as another user");
        return None;
    }
    let device = Device::open_to_all().await;
    let process = device.spawn(Some(OTHER_USER));
    let (process, ready) = event(process, "ready").await;
    assert_eq!(ready["user"], OTHER_USER);
    Some((device, process))
}

async fn register(node: &Node) -> Result<(), AddServiceError> {
    let (stub, _) = workbench();
    let options = ServiceOptions::local();
    node.samgr().register(SERVICE, &stub, options).await
}

/// Row 156: an id belongs to the user of who has it. Another user may not take it, and may when it is free.
#[tokio::test]
async fn a_registration_of_another_user_is_not_replaced() {
    let Some((device, process)) = stranger().await else {
        return;
    };
    let ours = Node::attach(&device.path).await.unwrap();
    register(&ours).await.unwrap();
    let (process, refused) = tell(process, "serve", "refused").await;
    let held = format!("{:?}", AddServiceError::HeldByAnother);
    assert_eq!(refused["error"], held.as_str());
    // Whose it is has not noticed.
    let samgr = device.host.samgr();
    let proxy = samgr.get(SERVICE, &device.host.device_id()).await.unwrap();
    assert_eq!(reverse(&proxy, 2019).await, Ok(9102));

    ours.shutdown().await;
    let free = async || samgr.check(SERVICE).is_none();
    assert!(wait_until_async(SOON, free).await);
    let (_process, _) = tell(process, "serve", "serves").await;
    // Neither the host itself nor root is excepted.
    let held = Err(AddServiceError::HeldByAnother);
    assert_eq!(register(&device.host).await, held);
    let ours = Node::attach(&device.path).await.unwrap();
    assert_eq!(register(&ours).await, held);
    let theirs = samgr.get(SERVICE, &device.host.device_id()).await.unwrap();
    assert_eq!(reverse(&theirs, 2019).await, Ok(9102));
}

/// Of a process that attached the host asks for the user that the system names.
#[tokio::test]
async fn what_a_user_may_register_is_what_the_owners_policy_says() {
    let Some((device, process)) = stranger().await else {
        return;
    };
    let only = |user| {
        let rule = RegisterRule::new("only").every_service().users([user]);
        let policy = Policy::builder().register(rule).build();
        device.host.set_policy(policy.unwrap());
    };
    only(getuid().as_raw());
    let (process, refused) = tell(process, "serve", "refused").await;
    let not_allowed = format!("{:?}", AddServiceError::Refused);
    assert_eq!(refused["error"], not_allowed.as_str());
    only(OTHER_USER);
    let refused = Err(AddServiceError::Refused);
    assert_eq!(register(&device.host).await, refused);
    let (_process, _) = tell(process, "serve", "serves").await;
}

/// Row 68: what is in an object is for root and for the user of its process, and for no other.
#[tokio::test]
async fn a_dump_is_for_root_and_the_own_user() {
    let Some((device, process)) = stranger().await else {
        return;
    };
    let (stub, _) = workbench();
    let samgr = device.host.samgr();
    samgr.add(SERVICE, &stub, ServiceOptions::local()).unwrap();
    let (process, dumped) = tell(process, "dump", "dumped").await;
    let refused = format!("{:?}", DumpError::Refused);
    assert_eq!(dumped["error"], refused.as_str());
    samgr.remove(SERVICE).unwrap();

    // We are root, and it has others of its user.
    let (process, _) = tell(process, "serve", "serves").await;
    let theirs = samgr.get(SERVICE, &device.host.device_id()).await.unwrap();
    let (reader, writer) = io::pipe().unwrap();
    let dumped = theirs.dump(&writer, &["us"], CallOption::two_way()).await;
    drop(writer);
    assert_eq!(dumped, Ok(()));
    assert_eq!(io::read_to_string(reader).unwrap(), "0 requests us\n");
    let friend = device.spawn(Some(OTHER_USER));
    let (friend, _) = event(friend, "ready").await;
    let (_friend, dumped) = tell(friend, "dump", "dumped").await;
    assert_eq!(dumped["text"], "0 requests it\n");
    drop(process);
}

/// Row 156: who may not call out is told so, before anybody is dialled.
#[tokio::test]
async fn another_user_does_not_call_other_devices() {
    let Some((_device, process)) = stranger().await else {
        return;
    };
    let elsewhere = DeviceId::from_bytes([7; 32]);
    let (_, got) = tell(process, &format!("get {elsewhere}"), "got").await;
    let refused = format!("{:?}", GetServiceError::Refused);
    assert_eq!(got["error"], refused.as_str());
}

/// A bus that its owner hosts for himself alone.
#[tokio::test]
async fn another_user_does_not_attach_to_what_is_not_for_it() {
    if !getuid().is_root() {
        return skip("only root can start a process as another user");
    }
    let device = Device::start().await;
    // It reaches the socket, and may not use it.
    let directory = device.path.parent().unwrap();
    std::fs::set_permissions(directory, Permissions::from_mode(0o711)).unwrap();
    let process = device.spawn(Some(OTHER_USER));
    let (_, failed) = event(process, "not attached").await;
    let denied = StartNodeError::Local(LocalError::Denied(device.path.clone()));
    assert_eq!(failed["error"], format!("{denied:?}").as_str());
}
