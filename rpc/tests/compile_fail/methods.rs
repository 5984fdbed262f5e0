use softbus_rpc::remote_interface;

#[remote_interface]
trait Receivers {
    async fn none();
    async fn first(number: u32);
    async fn by_value(self);
    async fn exclusive(&mut self);
    async fn typed(self: Box<Self>);
}

#[remote_interface]
trait Signatures {
    async fn generic<T>(&self, value: T);
    async fn lifetime<'a>(&self, text: &'a str);
    async fn clause(&self)
    where
        Self: Sized;
    async unsafe fn danger(&self);
    async fn wait(&self);
}

#[remote_interface]
trait Arguments {
    async fn pattern(&self, (a, b): (u32, u32));
    async fn nameless(&self, _: u32);
    async fn exclusive(&self, text: &mut String);
    async fn nested(&self, texts: Vec<&str>);
    async fn borrowed(&self, text: std::borrow::Cow<'static, str>);
    async fn some(&self, text: impl ToString);
    async fn object(&self, listener: Box<dyn Send>);
    async fn function(&self, callback: fn());
    async fn me(&self, other: Self);
    async fn late(&self, number: u32, caller: &Caller);
}

#[remote_interface]
trait Results {
    async fn lent(&self) -> &str;
    async fn some(&self) -> Result<impl ToString, ()>;
    #[oneway]
    async fn answers(&self) -> u32;
    async fn many(&self) -> impl Stream<Item = u32>;
    async fn boxed(&self) -> std::pin::Pin<Box<dyn Stream<Item = u32> + Send>>;
}

fn main() {}
