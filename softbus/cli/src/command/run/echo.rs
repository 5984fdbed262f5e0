//! A service to try things with.

use std::sync::atomic::{AtomicU64, Ordering};

use softbus::{
    Caller, HandlerError, Parcel, RemoteStub, async_trait,
    rpc::describe::{Description, MethodDescription},
};

/// 1 answers with the string it is sent, 2 with the sum of two numbers, 3 with the digits of a number backwards.
#[derive(Debug, Default)]
pub(super) struct Echo {
    requests: AtomicU64,
}

#[async_trait]
impl RemoteStub for Echo {
    fn descriptor(&self) -> &str {
        "softbus.cli.Echo"
    }

    fn describe(&self) -> Option<Description> {
        let echo = MethodDescription::new(1, "echo").argument::<String>("text");
        let sum = MethodDescription::new(2, "sum").argument::<i32>("a");
        let reverse = MethodDescription::new(3, "reverse").argument::<i32>("number");
        let description = Description::new(self.descriptor())
            .method(echo.returns::<String>())
            .method(sum.argument::<i32>("b").returns::<i32>())
            .method(reverse.returns::<i32>());
        Some(description)
    }

    #[cfg(unix)]
    fn dump(&self, output: &mut std::fs::File, arguments: &[String]) -> std::io::Result<()> {
        use std::io::Write;
        let requests = self.requests.load(Ordering::Relaxed);
        writeln!(output, "requests: {requests}")?;
        arguments
            .iter()
            .try_for_each(|argument| writeln!(output, "argument: {argument}"))
    }

    async fn on_remote_request(
        &self,
        _caller: &Caller,
        code: u32,
        data: &mut Parcel,
        reply: &mut Parcel,
    ) -> Result<(), HandlerError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        match code {
            1 => {
                let text = data.read_string()?;
                reply.raise_to_transport_limit();
                reply.write_string(&text)?;
            }
            2 => {
                let sum = data.read_i32()?.checked_add(data.read_i32()?);
                reply.write_i32(sum.ok_or_else(too_large)?)?;
            }
            3 => {
                let reversed = reverse(data.read_i32()?);
                reply.write_i32(reversed.ok_or_else(too_large)?)?;
            }
            _ => return Err(HandlerError::UnknownMethod),
        }
        Ok(())
    }
}

fn too_large() -> HandlerError {
    HandlerError::Failed("result does not fit 32 bits".to_owned())
}

/// The decimal digits backwards, with the same sign.
fn reverse(number: i32) -> Option<i32> {
    let mut left = number;
    let mut reversed = 0i32;
    while left != 0 {
        reversed = reversed.checked_mul(10)?.checked_add(left % 10)?;
        left /= 10;
    }
    Some(reversed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_backwards() {
        assert_eq!(reverse(2019), Some(9102));
        assert_eq!(reverse(-120), Some(-21));
        assert_eq!(reverse(0), Some(0));
        assert_eq!(reverse(i32::MIN), None);
    }
}
