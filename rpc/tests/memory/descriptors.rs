//! Rows 45 and 46: file descriptors between two buses.

use std::io;

use softbus_rpc::{
    CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, SendRequestError,
    async_trait,
    parcel::{PassObjectError, ReadParcelError},
};

use crate::pair::{offer, offer_locally};

const TAKE: u32 = 1;
const GIVE: u32 = 2;

/// Takes and gives descriptors, as far as it can.
struct Desk;

#[async_trait]
impl RemoteStub for Desk {
    fn descriptor(&self) -> &str {
        "org.example.Desk"
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            TAKE => reply.write_u32(u32::from(data.has_file_descriptors()))?,
            GIVE => reply.write_file_descriptor(io::pipe().unwrap().0)?,
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

fn with_a_pipe() -> Parcel {
    let mut parcel = Parcel::new();
    parcel.write_file_descriptor(io::pipe().unwrap().0).unwrap();
    parcel
}

// Row 46.
#[tokio::test(start_paused = true)]
async fn descriptors_do_not_go_to_another_device() {
    let (proxy, _link) = offer(&RemoteObject::new(Desk)).await;
    let mut data = with_a_pipe();
    for option in [CallOption::two_way(), CallOption::one_way()] {
        let sent = proxy.send_request(TAKE, &data, option).await;
        let (index, reason) = (0, PassObjectError::Descriptor);
        assert_eq!(sent.unwrap_err(), SendRequestError::Pass { index, reason });
    }
    // The parcel is as it was, and so is the session.
    data.read_file_descriptor().unwrap();
    let option = CallOption::two_way();
    let answer = proxy.send_request(GIVE, &Parcel::new(), option).await;
    assert_eq!(answer.unwrap_err(), SendRequestError::ReplyPassRefused);
    let answer = proxy.send_request(TAKE, &Parcel::new(), option).await;
    assert_eq!(answer.unwrap().read_u32(), Ok(0));
}

// Row 45.
#[tokio::test(start_paused = true)]
async fn descriptors_go_to_another_process_and_come_from_it() {
    let (proxy, _link) = offer_locally(&RemoteObject::new(Desk)).await;
    let option = CallOption::two_way();
    let data = with_a_pipe();
    for _ in 0..200 {
        let taken = proxy.send_request(TAKE, &data, option).await;
        assert_eq!(taken.unwrap().read_u32(), Ok(1));
        let given = proxy.send_request(GIVE, &Parcel::new(), option).await;
        given.unwrap().read_file_descriptor().unwrap();
    }
    let calls = (0..200).map(|_| {
        let (proxy, data) = (proxy.clone(), data.clone());
        tokio::spawn(async move { proxy.send_request(TAKE, &data, option).await })
    });
    for call in calls.collect::<Vec<_>>() {
        // As many as are let in at a time, and the others are told.
        match call.await.unwrap() {
            Ok(mut reply) => assert_eq!(reply.read_u32(), Ok(1)),
            Err(error) => assert!(matches!(
                error,
                SendRequestError::Busy {
                    limit: Some(128),
                    ..
                }
            )),
        }
    }
}

#[tokio::test]
async fn a_stub_of_this_process_gets_a_descriptor_of_its_own() {
    let object = RemoteObject::new(Desk);
    let option = CallOption::two_way();
    let answer = object.send_request(TAKE, &with_a_pipe(), option).await;
    assert_eq!(answer.unwrap().read_u32(), Ok(1));
    let answer = object.send_request(GIVE, &Parcel::new(), option).await;
    let mut answer = answer.unwrap();
    answer.read_file_descriptor().unwrap();
    let none = answer.read_file_descriptor().map(drop);
    assert!(matches!(none, Err(ReadParcelError::Truncated { .. })));
}
