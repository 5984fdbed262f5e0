//! One call over a memory link: the smallest whole thing.

use std::time::Duration;

use proto::ServiceId;
use softbus_rpc::{
    Allow, CallOption, Caller, HandlerError, Parcel, RemoteObject, RemoteStub, ServiceOptions,
    async_trait,
};

use crate::pair::{bus, pair};

pub(crate) struct Echo;

#[async_trait]
impl RemoteStub for Echo {
    fn descriptor(&self) -> &str {
        "org.example.Echo"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        match code {
            1 => {
                let text = data.read_string()?;
                reply.write_string(&text)?;
                Ok(())
            }
            2 => {
                let raw = data.read_raw_data(1 << 20)?;
                reply.write_raw_data(raw)?;
                Ok(())
            }
            _ => Err(HandlerError::UnknownMethod),
        }
    }
}

#[tokio::test]
async fn echo_over_a_memory_link() {
    let (a, b) = (bus(1), bus(2));
    let (at_a, _at_b) = pair(&a, &b).await;
    let service = ServiceId::new(7).unwrap();
    let options = ServiceOptions::distributed(Allow::trusted());
    b.samgr()
        .add(service, &RemoteObject::new(Echo), options)
        .unwrap();

    let echo = at_a
        .get_service(service, Duration::from_secs(5))
        .await
        .unwrap();
    let mut data = Parcel::new();
    data.write_string("hello").unwrap();
    let mut reply = echo
        .send_request(1, &data, CallOption::two_way())
        .await
        .unwrap();
    assert_eq!(reply.read_string().unwrap(), "hello");
    assert_eq!(echo.descriptor().await.unwrap(), "org.example.Echo");

    let mut data = Parcel::new();
    data.write_raw_data(vec![7; 1 << 20]).unwrap();
    let mut reply = echo
        .send_request(2, &data, CallOption::two_way())
        .await
        .unwrap();
    assert_eq!(reply.read_raw_data(1 << 20).unwrap().len(), 1 << 20);
}
