//! `softbus describe`, and `softbus call` by name, against a service of this process that the command knows nothing of.

use serde_json::{Value, json};
use softbus::{
    Allow, Identity, Node, Parcelable, RemoteObject, ServiceId, ServiceOptions, TrustStore,
    remote_interface, rpc::Streaming,
};

use crate::harness::{Device, Finished};

#[derive(Clone, Debug, Parcelable)]
enum Shape {
    Nothing,
    Circle {
        radius: f64,
    },
    #[parcelable(tag = 7)]
    Line(Point, Point),
    Group(Vec<Self>),
}

#[derive(Clone, Debug, Parcelable)]
struct Point {
    x: i8,
    y: Option<u64>,
}

#[remote_interface(descriptor = "org.example.Canvas")]
trait Canvas {
    /// Echoes.
    #[idempotent]
    async fn draw(&self, shape: &Shape) -> Result<Shape, String>;
    #[oneway]
    async fn forget(&self);
    async fn count(&self, up_to: u32) -> Streaming<u32>;
    async fn bytes(&self, bytes: Vec<u8>, text: String, factor: f64) -> (Vec<u8>, String, f64);
    async fn object(&self) -> RemoteObject;
}

struct Board;

impl Canvas for Board {
    async fn draw(&self, shape: &Shape) -> Result<Shape, String> {
        match shape {
            Shape::Nothing => Err("nothing to draw".to_owned()),
            shape => Ok(shape.clone()),
        }
    }

    async fn forget(&self) {}

    async fn count(&self, up_to: u32) -> Streaming<u32> {
        Streaming::iter(1..=up_to)
    }

    async fn bytes(&self, bytes: Vec<u8>, text: String, factor: f64) -> (Vec<u8>, String, f64) {
        (bytes, text, factor)
    }

    async fn object(&self) -> RemoteObject {
        CanvasStub::new(Self).into()
    }
}

/// A device whose node is in this process, and one that runs commands.
struct Served {
    runtime: tokio::runtime::Runtime,
    node: Option<Node>,
    _home: Device,
    user: Device,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(node) = self.node.take() {
            self.runtime.block_on(node.shutdown());
        }
    }
}

fn serve(options: ServiceOptions) -> Served {
    let (home, user) = Device::pair();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let node = runtime.block_on(async {
        let directory = home.directory();
        let node = Node::builder()
            .trust(TrustStore::open(&directory).unwrap())
            .identity(Identity::open(&directory).unwrap())
            .listen("127.0.0.1:0".parse().unwrap());
        let node = node.start().await.unwrap();
        let service = ServiceId::new(7).unwrap();
        let stub = CanvasStub::new(Board).into_object();
        node.samgr().add(service, &stub, options).unwrap();
        node
    });
    let address = node.local_addr().unwrap().to_string();
    Served {
        runtime,
        node: Some(node),
        _home: home,
        user,
        address,
    }
}

fn to_all() -> ServiceOptions {
    ServiceOptions::distributed(Allow::trusted())
}

impl Served {
    fn ask(&self, words: &[&str]) -> Finished {
        let peer = format!("a@{}", self.address);
        self.user.run(["--peer", &peer].iter().chain(words))
    }

    /// The line that a call prints.
    #[track_caller]
    fn call(&self, words: &[&str]) -> String {
        let called = self.ask(&[&["call", "a", "7"], words].concat());
        assert_eq!(called.code, 0, "{called:?}");
        called.stdout
    }

    #[track_caller]
    fn wrong(&self, words: &[&str], code: i32, says: &[&str]) {
        self.ask(&[&["call", "a", "7"], words].concat())
            .assert_failed(code, says);
    }
}

#[test]
fn an_interface_is_printed_as_it_was_written() {
    let served = serve(to_all());
    let described = served.ask(&["describe", "a", "7"]);
    let text = "\
interface org.example.Canvas {
    1  draw(shape: Shape) -> Result<Shape, String>;                  // idempotent
    2  forget();                                                     // one-way
    3  count(up_to: u32) -> Stream<u32>;
    4  bytes(bytes: Vec<u8>, text: String, factor: f64) -> (Vec<u8>, String, f64);
    5  object() -> RemoteObject;
}

enum Shape {
    Nothing,
    Circle { radius: f64 },
    Line(Point, Point) = 7,
    Group(Vec<Shape>) = 3,
}

struct Point {
    x: i8,
    y: Option<u64>,
}
";
    // Variants come in the order of their numbers.
    let text = text.replace(
        "    Line(Point, Point) = 7,\n    Group(Vec<Shape>) = 3,\n",
        "    Group(Vec<Shape>) = 3,\n    Line(Point, Point) = 7,\n",
    );
    assert_eq!(described.stdout, text, "{described:?}");
    let object = served.ask(&["describe", "a", "7", "--json"]).object();
    assert_eq!(object["descriptor"], "org.example.Canvas");
    let draw = json!({
        "code": 1, "name": "draw", "arguments": [{ "name": "shape", "type": "Shape" }],
        "result": "Result<Shape, String>", "one_way": false, "idempotent": true, "wait_ms": null,
    });
    assert_eq!(object["methods"][0], draw);
    assert_eq!(object["types"].as_array().unwrap().len(), 2);
}

#[test]
fn methods_are_called_by_name_with_json() {
    let served = serve(to_all());
    let group = r#"{"Group":[{"Circle":{"radius":2.5}},{"Line":[{"x":-128,"y":18446744073709551615},{"x":1}]},"Nothing"]}"#;
    let drawn: Value = serde_json::from_str(&served.call(&["draw", group])).unwrap();
    let line = json!({ "Line": [{ "x": -128, "y": u64::MAX }, { "x": 1, "y": null }] });
    assert_eq!(
        drawn,
        json!({ "Group": [{ "Circle": { "radius": 2.5 } }, line, "Nothing"] })
    );
    assert_eq!(served.call(&["forget"]), "");
    assert_eq!(served.call(&["count", "3"]), "1\n2\n3\n");
    let returned = served.call(&["bytes", "[1,2,255]", "plain text", "NaN"]);
    assert_eq!(returned, "[\"AQL/\",\"plain text\",\"NaN\"]\n");
    let returned = served.call(&["4", "AQL/", "\"\\u001b\"", "-1.5"]);
    assert_eq!(returned, "[\"AQL/\",\"\\u001b\",-1.5]\n");
    let object = served
        .ask(&[
            "call",
            "a",
            "7",
            "draw",
            r#"{"Circle":{"radius":1}}"#,
            "--json",
        ])
        .object();
    assert_eq!(
        (&object["method"], &object["code"]),
        (&"draw".into(), &1.into())
    );
    assert_eq!(object["result"], json!({ "Circle": { "radius": 1.0 } }));
}

#[test]
fn what_is_wrong_says_what_to_do() {
    let served = serve(to_all());
    served.wrong(
        &["paint"],
        1,
        &["no method \"paint\"", "draw(shape: Shape)", "forget()"],
    );
    served.wrong(
        &["draw"],
        2,
        &["takes 1 arguments and not 0", "draw(shape: Shape) ->"],
    );
    served.wrong(
        &["draw", "Square"],
        2,
        &["\"Square\" is no Shape", "\"Nothing\" or {\"Circle\""],
    );
    let line = r#"{"Line":[{"x":128},{"x":0}]}"#;
    served.wrong(
        &["draw", line],
        2,
        &["argument shape of draw", "field \"x\"", "128 is no i8"],
    );
    served.wrong(
        &["draw", r#"{"Circle":{}}"#],
        2,
        &["field \"radius\" is missing"],
    );
    served.wrong(&["count", "4294967296"], 2, &["4294967296 is no u32"]);
    served.wrong(&["count", "1.5"], 2, &["1.5 is no u32"]);
    served.wrong(&["count", "x"], 2, &["no JSON"]);
    served.wrong(
        &["draw", "Nothing"],
        1,
        &["the service answered an error: \"nothing to draw\""],
    );
    served.wrong(&["object"], 1, &["an object"]);
    served.wrong(&["count", "--i32", "3"], 2, &["by code"]);
}

#[test]
fn a_service_that_does_not_describe_itself_is_called_by_code() {
    let served = serve(to_all().undescribed());
    let refused = ["does not describe its interface", "by their codes"];
    served
        .ask(&["describe", "a", "7"])
        .assert_failed(4, &refused);
    served.wrong(&["count", "3"], 4, &refused);
    assert_eq!(served.call(&["2"]), "");
}

#[test]
fn the_echo_service_by_name() {
    let (a, b) = Device::pair();
    let node = a.start(["run", "--echo", "7"]);
    assert_eq!(b.ask("a", &node, "call a 7 sum 40 -2").stdout, "38\n");
    assert_eq!(b.ask("a", &node, "call a 7 echo hello").stdout, "hello\n");
    b.ask("a", &node, "call a 7 sum 2147483647 1")
        .assert_failed(1, &["does not fit"]);
}
