use super::{Parcel, ReadParcelError, WriteParcelError};

/// The longest interface token, in bytes of UTF-8, as in OpenHarmony.
///
/// A token is written in UTF-16, so one near this length needs a raised capacity.
pub const MAX_TOKEN_LEN: usize = 204_800;

/// What OpenHarmony writes before a descriptor: strict-mode policy and work source.
const TOKEN_HEAD: [u32; 2] = [0x100, 0];

/// What a handler says went wrong, in OpenHarmony's convention: a code and a message at the start of the reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("exception {code}: {message}")]
#[non_exhaustive]
pub struct Exception {
    /// The handler's own code, not 0.
    pub code: i32,
    /// For a person to read.
    pub message: String,
}

/// # Interface tokens and exceptions
///
/// What OpenHarmony's hand-written services put first: the request begins with the interface it is meant for, the
/// reply with whether it went well. Both are ordinary data here, which the handler and the caller read themselves.
///
/// ```
/// use softbus_rpc::Parcel;
///
/// let mut request = Parcel::new();
/// request.write_interface_token("ohos.samples.ICalc")?;
/// assert_eq!(request.read_interface_token()?, "ohos.samples.ICalc");
///
/// let mut reply = Parcel::new();
/// reply.write_exception(-3, "division by zero")?;
/// let exception = reply.read_exception()?.unwrap_err();
/// assert_eq!(exception.code, -3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Parcel {
    /// Appends an interface token: 0x100, 0, the descriptor as a string16.
    ///
    /// # Errors
    /// [`WriteParcelError::TokenLength`] unless the descriptor has 1 to [`MAX_TOKEN_LEN`] bytes; else as
    /// [`write_string16`](Self::write_string16). Nothing is written.
    pub fn write_interface_token(&mut self, descriptor: &str) -> Result<(), WriteParcelError> {
        let len = descriptor.len();
        if len == 0 || len > MAX_TOKEN_LEN {
            return Err(WriteParcelError::TokenLength {
                len,
                limit: MAX_TOKEN_LEN,
            });
        }
        self.atomically(|parcel| {
            for part in TOKEN_HEAD {
                parcel.write_u32(part)?;
            }
            parcel.write_string16(descriptor)
        })
    }

    /// Reads the descriptor of an interface token.
    ///
    /// # Errors
    /// [`ReadParcelError`], [`NotAToken`](ReadParcelError::NotAToken) when something else stands here; the cursor
    /// stays.
    pub fn read_interface_token(&mut self) -> Result<String, ReadParcelError> {
        let head: [u8; 8] = self.peek(self.read)?;
        if head
            .as_chunks()
            .0
            .iter()
            .map(|part| u32::from_le_bytes(*part))
            .ne(TOKEN_HEAD)
        {
            return Err(ReadParcelError::NotAToken);
        }
        let (descriptor, next) = self.read_string16_at(self.read + head.len())?;
        self.read = next;
        Ok(descriptor)
    }

    /// Appends that all went well: the code 0.
    ///
    /// # Errors
    /// [`WriteParcelError`]; nothing is written.
    pub fn write_no_exception(&mut self) -> Result<(), WriteParcelError> {
        self.write_i32(0)
    }

    /// Appends what went wrong: a code other than 0 and a message as a string16.
    ///
    /// # Errors
    /// [`WriteParcelError::ExceptionCode`] for the code 0, which says that nothing went wrong; else as
    /// [`write_string16`](Self::write_string16). Nothing is written.
    pub fn write_exception(&mut self, code: i32, message: &str) -> Result<(), WriteParcelError> {
        if code == 0 {
            return Err(WriteParcelError::ExceptionCode);
        }
        self.atomically(|parcel| {
            parcel.write_i32(code)?;
            parcel.write_string16(message)
        })
    }

    /// Reads whether all went well.
    ///
    /// # Errors
    /// The outer [`ReadParcelError`] when the parcel does not say; the cursor stays. The inner [`Exception`] is what
    /// the other side wrote.
    pub fn read_exception(&mut self) -> Result<Result<(), Exception>, ReadParcelError> {
        let code = i32::from_le_bytes(self.peek(self.read)?);
        let message = self.read + size_of::<i32>();
        if code == 0 {
            self.read = message;
            return Ok(Ok(()));
        }
        let (message, next) = self.read_string16_at(message)?;
        self.read = next;
        Ok(Err(Exception { code, message }))
    }
}
