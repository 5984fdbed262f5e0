//! What a stub tells of its interface, to whom, and what can be done with it.

use std::{collections::BTreeMap, time::Duration};

use softbus_rpc::{
    Allow, CallOption, Caller, HandlerError, Parcel, Parcelable, RemoteObject, RemoteStub,
    SendRequestError, ServiceOptions, Streaming, async_trait,
    describe::{DescribeError, Description, MethodDescription},
    dynamic::{Body, Type, Types, Value, WriteValueError},
    parcel::ReadParcelError,
    remote_interface,
};

use crate::pair::{offer, offer_as};

#[derive(Clone, Debug, PartialEq, Parcelable)]
enum Shape {
    Nothing,
    Circle {
        radius: f64,
    },
    #[parcelable(tag = 7)]
    Line(Point, Point),
    Group(Vec<Self>),
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
struct Point {
    x: i8,
    y: u16,
}

#[derive(Clone, Debug, PartialEq, Parcelable)]
struct Marker;

type Scalars = (bool, i16, u32, i64, u64, f32);
type Packed = (Vec<bool>, Vec<i8>, Vec<i16>, Vec<u16>, Vec<f32>, Vec<i64>);

#[remote_interface(descriptor = "org.example.Canvas")]
trait Canvas {
    #[idempotent]
    #[wait(2.5)]
    async fn draw(&self, caller: &Caller, shape: &Shape, name: &str) -> Result<u32, String>;
    #[oneway]
    async fn forget(&self, r#type: Option<Point>);
    #[code(9)]
    async fn watch(&self) -> Streaming<Shape>;
    async fn plain(
        &self,
        value: Scalars,
        letter: char,
        wait: Duration,
    ) -> (Scalars, char, Duration);
    async fn packed(&self, value: Packed, bytes: &[u8]) -> (Packed, [u8; 3], [u16; 2]);
    async fn nested(&self, value: BTreeMap<String, Option<Vec<Marker>>>) -> Vec<(u8, String)>;
    async fn object(&self, canvas: CanvasProxy, any: RemoteObject);
}

struct Board;

impl Canvas for Board {
    async fn draw(&self, _: &Caller, shape: &Shape, name: &str) -> Result<u32, String> {
        match shape {
            Shape::Nothing => Err(format!("{name} is nothing")),
            Shape::Circle { .. } | Shape::Line(..) => Ok(1),
            Shape::Group(shapes) => Ok(shapes.len() as u32),
        }
    }

    async fn forget(&self, _: Option<Point>) {}

    async fn watch(&self) -> Streaming<Shape> {
        Streaming::iter([Shape::Nothing, Shape::Circle { radius: 2.0 }])
    }

    async fn plain(
        &self,
        value: Scalars,
        letter: char,
        wait: Duration,
    ) -> (Scalars, char, Duration) {
        (value, letter, wait)
    }

    async fn packed(&self, value: Packed, bytes: &[u8]) -> (Packed, [u8; 3], [u16; 2]) {
        (value, bytes.try_into().unwrap(), [1, 2])
    }

    async fn nested(&self, value: BTreeMap<String, Option<Vec<Marker>>>) -> Vec<(u8, String)> {
        let count = |(name, markers): (String, Option<Vec<Marker>>)| {
            (markers.map_or(255, |markers| markers.len() as u8), name)
        };
        value.into_iter().map(count).collect()
    }

    async fn object(&self, _: CanvasProxy, _: RemoteObject) {}
}

/// A client that has the description and nothing else.
struct Client {
    object: RemoteObject,
    description: Description,
    types: Types,
}

impl Client {
    async fn of(object: RemoteObject) -> Self {
        let description = object.describe(CallOption::two_way()).await.unwrap();
        let types = Types::default();
        Self {
            object,
            description,
            types,
        }
    }

    async fn send(&mut self, name: &str, values: &[Value]) -> (Type, Parcel) {
        let method = self
            .description
            .methods
            .iter()
            .find(|method| method.name == name);
        let method = method.unwrap();
        let mut data = Parcel::new();
        assert_eq!(method.arguments.len(), values.len());
        for (argument, value) in method.arguments.iter().zip(values) {
            let of = self.types.parse(&argument.type_name);
            self.types.write(&of, value, &mut data).unwrap();
        }
        let reply = self
            .object
            .send_request(method.code, &data, CallOption::two_way());
        (self.types.parse(&method.result), reply.await.unwrap())
    }

    async fn call(&mut self, name: &str, values: &[Value]) -> Value {
        let (of, mut reply) = self.send(name, values).await;
        let result = self.types.read(&of, &mut reply).unwrap();
        assert_eq!(reply.readable_bytes(), 0);
        result
    }
}

fn some(value: Value) -> Value {
    Value::Option(Some(Box::new(value)))
}

fn variant(name: &str, fields: Value) -> Value {
    Value::Variant(name.into(), Box::new(fields))
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Struct(fields.map(|(name, value)| (name.into(), value)).into())
}

fn point(x: i64, y: u64) -> Value {
    fields([("x", Value::Signed(x)), ("y", Value::Unsigned(y))])
}

#[tokio::test]
async fn a_generated_stub_describes_its_methods() {
    let pair = offer(CanvasStub::new(Board)).await;
    let local = CanvasStub::new(Board).into_object();
    for object in [&pair.remote, &local] {
        let described = object.describe(CallOption::two_way()).await.unwrap();
        assert_eq!(described.descriptor, "org.example.Canvas");
        let codes: Vec<_> = described.methods.iter().map(|method| method.code).collect();
        assert_eq!(codes, [1, 2, 9, 4, 5, 6, 7]);
        let draw = MethodDescription::new(CanvasProxy::DRAW, "draw")
            .argument::<Shape>("shape")
            .argument::<String>("name")
            .returns::<Result<u32, String>>()
            .idempotent()
            .wait(Duration::from_millis(2500));
        assert_eq!(described.methods[0], draw);
        let forget = &described.methods[1];
        assert!(forget.one_way && forget.arguments[0].name == "type");
        assert_eq!(
            forget.arguments[0].type_name,
            "Option<Point{x: i8, y: u16}>"
        );
        assert!(described.methods[2].result.starts_with("Stream<Shape["));
    }
}

#[tokio::test]
async fn a_client_without_the_source_calls_every_method() {
    let pair = offer(CanvasStub::new(Board)).await;
    let mut client = Client::of(pair.remote.clone()).await;
    let text = |text: &str| Value::String(text.to_owned());
    let line = variant(
        "Line",
        Value::Tuple(vec![point(-128, 0), point(127, 65535)]),
    );
    let circle = variant("Circle", fields([("radius", Value::Float(1.5))]));
    let group = Value::Tuple(vec![Value::List(vec![
        line,
        circle,
        variant("Nothing", Value::Unit),
    ])]);
    let drawn = client
        .call("draw", &[variant("Group", group), text("three")])
        .await;
    assert_eq!(drawn, Value::Result(Ok(Box::new(Value::Unsigned(3)))));
    let drawn = client
        .call("draw", &[variant("Nothing", Value::Unit), text("it")])
        .await;
    assert_eq!(drawn, Value::Result(Err(Box::new(text("it is nothing")))));

    let scalars = Value::Tuple(vec![
        Value::Bool(true),
        Value::Signed(-32768),
        Value::Unsigned(u32::MAX.into()),
        Value::Signed(i64::MIN),
        Value::Unsigned(u64::MAX),
        Value::Float(f64::INFINITY),
    ]);
    let wait = Value::Duration(Duration::from_nanos(1));
    let values = [scalars, Value::Char('\u{1f600}'), wait];
    assert_eq!(
        client.call("plain", &values).await,
        Value::Tuple(values.to_vec())
    );

    let list = |values: &[Value]| Value::List(values.to_vec());
    let packed = Value::Tuple(vec![
        list(&[Value::Bool(true), Value::Bool(false), Value::Bool(true)]),
        list(&[Value::Signed(-128), Value::Signed(127)]),
        list(&[Value::Signed(-1)]),
        Value::List(vec![Value::Unsigned(65535); 3]),
        list(&[Value::Float(0.5)]),
        list(&[]),
    ]);
    let bytes = Value::Bytes(vec![1, 2, 3].into());
    let returned = client
        .call("packed", &[packed.clone(), bytes.clone()])
        .await;
    let two = list(&[Value::Unsigned(1), Value::Unsigned(2)]);
    assert_eq!(returned, Value::Tuple(vec![packed, bytes, two]));

    let markers = |count| some(Value::List(vec![Value::Unit; count]));
    let map = Value::Map(vec![
        (text("a"), markers(3)),
        (text("b"), Value::Option(None)),
    ]);
    let counted = client.call("nested", &[map]).await;
    let entry = |count, name| Value::Tuple(vec![Value::Unsigned(count), text(name)]);
    assert_eq!(counted, list(&[entry(3, "a"), entry(255, "b")]));

    let (of, mut reply) = client.send("watch", &[]).await;
    let Type::Stream(item) = of else {
        panic!("a stream and not {of:?}")
    };
    let mut shapes = client.types.read_stream(&item, &mut reply).unwrap();
    assert_eq!(
        shapes.next().await,
        Some(Ok(variant("Nothing", Value::Unit)))
    );
    let circle = variant("Circle", fields([("radius", Value::Float(2.0))]));
    assert_eq!(shapes.next().await, Some(Ok(circle)));
    assert_eq!(shapes.next().await, None);

    let canvas = Value::Object(CanvasStub::new(Board).into_object());
    assert_eq!(
        client.call("object", &[canvas.clone(), canvas]).await,
        Value::Unit
    );
}

#[tokio::test]
async fn who_may_ask_is_the_services_to_say() {
    let stub = || CanvasStub::new(Board).into_object();
    let all = || ServiceOptions::distributed(Allow::trusted());
    let refused = Err(DescribeError::Call(SendRequestError::Refused));
    let describe = async |options| {
        let pair = offer_as(stub(), options).await;
        pair.remote.ping(CallOption::two_way()).await.unwrap();
        pair.remote
            .describe(CallOption::two_way())
            .await
            .map(|described| described.methods.len())
    };
    assert_eq!(describe(all()).await, Ok(7));
    assert_eq!(describe(all().undescribed()).await, refused);
    assert_eq!(
        describe(all().described_to(Allow::devices([]))).await,
        refused
    );
    assert_eq!(describe(all().described_to(Allow::trusted())).await, Ok(7));
}

struct ByHand(fn() -> Option<Description>);

#[async_trait]
impl RemoteStub for ByHand {
    fn descriptor(&self) -> &str {
        "org.example.ByHand"
    }

    fn describe(&self) -> Option<Description> {
        self.0()
    }

    async fn on_remote_request(
        &self,
        _: &Caller,
        _: u32,
        _: &mut Parcel,
        _: &mut Parcel,
    ) -> Result<(), HandlerError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_stub_by_hand_describes_itself_or_nothing() {
    let describe = async |make| {
        let local = RemoteObject::new(ByHand(make));
        let here = local.describe(CallOption::two_way()).await;
        let pair = offer(local).await;
        let there = pair.remote.describe(CallOption::two_way()).await;
        assert_eq!(
            pair.remote.descriptor().await.unwrap(),
            "org.example.ByHand"
        );
        [here, there]
    };
    for answer in describe(|| None).await {
        assert_eq!(answer, Err(DescribeError::NotDescribed));
    }
    let own = || Description::new("own").method(MethodDescription::new(1, "it"));
    for answer in
        describe(|| Some(Description::new("own").method(MethodDescription::new(1, "it")))).await
    {
        assert_eq!(answer, Ok(own()));
    }
    for answer in describe(|| panic!("as it should")).await {
        let Err(DescribeError::Call(SendRequestError::Internal(text))) = answer else {
            panic!("an error and not {answer:?}")
        };
        assert!(text.contains("panicked"), "{text}");
    }
    for answer in describe(|| Some(Description::new("x".repeat(2 << 20)))).await {
        let too_large = Err(DescribeError::Call(SendRequestError::ReplyTooLarge));
        assert_eq!(answer, too_large);
    }
}

#[test]
fn names_of_types_are_understood_and_written_again() {
    #[derive(Parcelable)]
    struct Page<T> {
        items: Vec<T>,
        next: Option<Box<Self>>,
    }
    let mut types = Types::default();
    for name in [
        "()",
        "u8",
        "Map<String, Option<Vec<[f64; 3]>>>",
        "(i8, (u64,))",
        "RemoteObject",
        "Remote<org.example.Canvas>",
        "Stream<Duration>",
        "Result<char, bool>",
        "made.by <hand>",
    ] {
        let of = types.parse(&name.replace(",)", ")"));
        assert_eq!(types.display(&of).to_string(), name);
    }
    let of = types.parse(&<(Page<Point>, Page<Point>)>::type_name());
    assert_eq!(types.display(&of).to_string(), "(Page, Page)");
    let names: Vec<_> = types
        .definitions()
        .iter()
        .map(|found| found.name.as_str())
        .collect();
    assert_eq!(names, ["Page", "Point", "Page", "Point"]);
    let Type::Tuple(pages) = &of else {
        panic!("a tuple")
    };
    let Type::Defined(second) = pages[1] else {
        panic!("a definition")
    };
    let Some(Body::Struct(body)) = types.definition(second).map(|found| &found.body) else {
        panic!("a struct")
    };
    let inner = format!("{body:?}");
    assert!(
        inner.contains("DefinitionId(2)") && inner.contains("DefinitionId(3)"),
        "{inner}"
    );
}

#[test]
fn names_that_make_no_sense_are_types_of_their_own() {
    let deep = "Vec<".repeat(10_000) + "u8" + &">".repeat(10_000);
    for name in [
        "",
        "Vec<",
        "Vec<u8>>",
        "#0",
        "A{x: #1}",
        "A[0 B",
        "A[x B]",
        "(u8",
        "[u8; -1]",
        "[u8; 99999999]",
        "Vec<u8, u8>",
        "Map<u8>",
        "A{: u8}",
        "A{x: u8 y: u8}",
        &deep,
    ] {
        let mut types = Types::default();
        assert_eq!(types.parse(name), Type::Opaque(name.to_owned()));
        assert_eq!(types.definitions(), []);
    }
}

#[test]
fn a_value_of_another_type_is_not_written() {
    let mut types = Types::default();
    let of = types.parse(&<(u8, Vec<Shape>)>::type_name());
    let write = |shape| {
        let mut data = Parcel::new();
        let value = Value::Tuple(vec![Value::Unsigned(255), Value::List(vec![shape])]);
        let written = types.write(&of, &value, &mut data);
        assert_eq!(data.data_size() > 0, written.is_ok());
        written.map_err(|error| error.to_string())
    };
    assert_eq!(write(variant("Nothing", Value::Unit)), Ok(()));
    let wrong = write(variant("Square", Value::Unit));
    assert_eq!(wrong, Err("value.1.0: not of type Shape".to_owned()));
    let wrong = write(variant(
        "Line",
        Value::Tuple(vec![point(0, 0), point(128, 0)]),
    ));
    assert_eq!(wrong, Err("value.1.0.Line.1.x: not of type i8".to_owned()));
    let wrong = write(variant("Circle", Value::Unit));
    assert_eq!(wrong, Err("value.1.0.Circle: not of type Shape".to_owned()));

    let stream = types.parse("Stream<u8>");
    let wrong = types.write(&stream, &Value::Unit, &mut Parcel::new());
    assert!(
        matches!(wrong, Err(WriteValueError::Inexpressible { .. })),
        "{wrong:?}"
    );
    for (of, value) in [
        ("i8", Value::Signed(128)),
        ("i8", Value::Signed(-129)),
        ("u8", Value::Unsigned(256)),
        ("u32", Value::Unsigned(1 << 32)),
        ("u32", Value::Signed(1)),
        ("[u8; 2]", Value::Bytes(vec![1].into())),
        ("[u16; 2]", Value::List(vec![])),
        ("String", Value::Unit),
    ] {
        let of = types.parse(of);
        let wrong = types.write(&of, &value, &mut Parcel::new());
        assert!(
            matches!(wrong, Err(WriteValueError::Mismatch { .. })),
            "{wrong:?}"
        );
    }
    for (of, value) in [
        ("i8", -128),
        ("i64", i64::MIN),
        ("i32", i64::from(i32::MAX)),
    ] {
        let of = types.parse(of);
        types
            .write(&of, &Value::Signed(value), &mut Parcel::new())
            .unwrap();
    }
}

#[test]
fn nothing_that_takes_no_bytes_is_read_for_ever() {
    let mut types = Types::default();
    let of = types.parse("[[[(); 1000000]; 1000000]; 1000000]");
    let read = types.read(&of, &mut Parcel::new());
    assert_eq!(read, Err(ReadParcelError::InvalidValue("too many values")));
    let mut data = Parcel::new();
    data.write_i32(5).unwrap();
    let shape = types.parse(&Shape::type_name());
    let read = types.read(&shape, &mut data);
    assert_eq!(read, Err(ReadParcelError::InvalidTag { value: 5 }));
    assert_eq!(data.read_position(), 0);
}
