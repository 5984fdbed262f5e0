//! A service in Rust that programs in C call.

use softbus::{Caller, HandlerError, Parcel, RemoteStub, ServiceId, async_trait};

pub(crate) const SERVICE: ServiceId = ServiceId::new(1401).unwrap();

/// Adds two numbers.
pub(crate) struct Adder;

#[async_trait]
impl RemoteStub for Adder {
    fn descriptor(&self) -> &str {
        "org.example.Adder"
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        _code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        let sum = data.read_i32()? + data.read_i32()?;
        Ok(reply.write_i32(sum)?)
    }
}
