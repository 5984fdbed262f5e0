//! Interfaces and types that a macro of the application writes.

use softbus_rpc::{CallError, Caller, Parcelable, remote_interface, typed::Proxy};

use crate::pair::offer;

/// Whatever a macro can be given, and names that generated code has too.
macro_rules! interface {
    (
        $vis:vis $name:ident = $descriptor:literal, $code:literal;
        $method:ident($argument:ident: $lent:ty, $owned:ty) -> $result:ty;
        $caller:ty, $nothing:ty
    ) => {
        #[remote_interface(descriptor = $descriptor)]
        $vis trait $name {
            async fn $method(&self, $argument: $lent, data: $owned) -> $result;
            #[code($code)]
            fn blocking(&self, caller: $caller, request: $owned, reply: Vec<$owned>) -> $owned;
            #[oneway]
            async fn quiet(&self, code: $owned) -> $nothing;
            async fn kept(&self, $argument: &$owned) -> Option<$owned> {
                Some($argument.clone())
            }
        }
    };
}

macro_rules! parcelable {
    ($name:ident<$param:ident> { $($field:ident: $t:ty),* }, $tag:literal) => {
        #[derive(Clone, Debug, PartialEq, Parcelable)]
        struct $name<$param> {
            $($field: $t,)*
            parcel: Vec<$param>,
            #[parcelable(skip)]
            skipped: Option<$param>,
        }

        #[derive(Clone, Debug, PartialEq, Parcelable)]
        enum Either {
            #[parcelable(tag = $tag)]
            Tagged($($t),*),
            Named { $($field: $t),* },
        }
    };
}

parcelable!(Record<T> { field0: String, value: Option<u32> }, 7);

interface! {
    Written = "org.example.Written", 9;
    look(caller_name: &str, Record<u8>) -> Result<u32, String>;
    &Caller, ()
}

struct Service;

impl Written for Service {
    async fn look(&self, caller_name: &str, data: Record<u8>) -> Result<u32, String> {
        let length = caller_name.len() + data.parcel.len();
        data.value
            .map(|value| value + length as u32)
            .ok_or(data.field0)
    }

    fn blocking(
        &self,
        caller: &Caller,
        request: Record<u8>,
        mut reply: Vec<Record<u8>>,
    ) -> Record<u8> {
        assert!(!caller.is_local());
        reply.pop().unwrap_or(request)
    }

    async fn quiet(&self, _: Record<u8>) {}
}

fn record(value: Option<u32>) -> Record<u8> {
    Record {
        field0: "field".to_owned(),
        value,
        parcel: vec![1, 2],
        skipped: None,
    }
}

#[tokio::test]
async fn an_interface_that_a_macro_writes() {
    let pair = offer(WrittenStub::new(Service)).await;
    let written = WrittenProxy::new(pair.remote.clone());
    assert_eq!(written.look("abc", record(Some(10))).await, Ok(15));
    let none = written.look("abc", record(None)).await;
    assert_eq!(none, Err(CallError::App("field".to_owned())));
    let (one, two) = (record(Some(1)), record(Some(2)));
    let reply = written.blocking(one.clone(), vec![two.clone()]).await;
    assert_eq!(reply, Ok(two));
    assert_eq!(written.kept(&one).await, Ok(Some(one.clone())));
    assert_eq!(written.quiet(one).await, Ok(()));
    assert_eq!(WrittenProxy::DESCRIPTOR, "org.example.Written");
    assert_eq!(WrittenProxy::BLOCKING, 9);
}

#[test]
fn a_type_that_a_macro_writes() {
    let mut parcel = softbus_rpc::Parcel::new();
    let values = [
        Either::Tagged("a".to_owned(), Some(1)),
        Either::Named {
            field0: "b".to_owned(),
            value: None,
        },
    ];
    parcel.write(&values.to_vec()).unwrap();
    assert_eq!(parcel.read::<Vec<Either>>().unwrap(), values);
    assert_eq!(
        Either::type_name(),
        "Either[1 Named{field0: String, value: Option<u32>}, 7 Tagged(String, Option<u32>)]"
    );
}
