//! One method.

use std::time::Duration;

use proc_macro2::Span;
use syn::{
    Attribute, Block, FnArg, Ident, Lit, LitInt, Pat, PatType, ReturnType, Signature, TraitItemFn,
    Type, ext::IdentExt, spanned::Spanned,
};

use super::{Errors, types};

/// What every proxy has besides the methods of its interface.
const RESERVED: [&str; 5] = ["new", "as_object", "into_object", "wait", "with_option"];

/// A method that can be called from another device.
pub(crate) struct Method {
    pub(crate) ident: Ident,
    /// As the fingerprint has it.
    pub(crate) name: String,
    /// Documentation and what else the proxy's method has too.
    pub(crate) carried: Vec<Attribute>,
    /// `#[cfg]` of the method: whatever is generated for it has them.
    pub(crate) cfgs: Vec<Attribute>,
    pub(crate) code: u32,
    pub(super) code_span: Span,
    pub(crate) is_async: bool,
    pub(crate) one_way: bool,
    pub(crate) idempotent: bool,
    pub(crate) wait: Option<Duration>,
    /// Whether the handler is given the caller.
    pub(crate) takes_caller: bool,
    pub(crate) args: Vec<Argument>,
    pub(crate) output: Output,
}

/// One that is sent.
pub(crate) struct Argument {
    pub(crate) ident: Ident,
    /// As written.
    pub(crate) ty: Type,
    /// Whether it is a reference.
    pub(crate) lent: bool,
    /// What the stub reads.
    pub(crate) owned: Owned,
}

/// What a stub reads for an argument, and lends to the handler if it takes a reference.
pub(crate) enum Owned {
    /// For `&str`.
    String,
    /// For `&[u8]`.
    Bytes,
    /// For `&[T]`.
    Vec(Type),
    /// For `T` and `&T`.
    Same(Type),
}

/// What comes back.
pub(crate) enum Output {
    Plain(Type),
    /// Value and error.
    Result(Box<[Type; 2]>),
    /// A `Result` of another module, whose arguments the compiler knows.
    Alias(Type),
}

impl Method {
    /// Checks a method and takes our attributes off it.
    pub(super) fn new(function: &mut TraitItemFn, next_code: u32) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let ours = Ours::take(&mut function.attrs, &mut errors);
        let sig = &function.sig;
        check_signature(sig, &mut errors);
        let (takes_caller, args) = arguments(sig, &mut errors);
        let output = types::result(&sig.output, &mut errors);
        if ours.one_way.is_some() && !is_unit(&sig.output) {
            errors.add(&sig.output, "nothing comes back from a one-way method");
        }
        if let (Some(span), Some(_)) = (ours.idempotent, ours.one_way) {
            errors.at(
                span,
                "a one-way call is never repeated: its loss is not noticed",
            );
        }
        errors.finish()?;
        let (code, code_span) = ours.code.unwrap_or_else(|| (next_code, sig.ident.span()));
        let carry = |names: &[&str]| -> Vec<Attribute> {
            let named = |attr: &&Attribute| names.iter().any(|name| attr.path().is_ident(name));
            function.attrs.iter().filter(named).cloned().collect()
        };
        Ok(Self {
            ident: sig.ident.clone(),
            name: sig.ident.unraw().to_string(),
            carried: carry(&["doc", "deprecated", "allow", "warn", "deny", "forbid"]),
            cfgs: carry(&["cfg", "cfg_attr"]),
            code,
            code_span,
            is_async: sig.asyncness.is_some(),
            one_way: ours.one_way.is_some(),
            idempotent: ours.idempotent.is_some(),
            wait: ours.wait,
            takes_caller,
            args,
            output,
        })
    }

    /// The name of the constant with its code.
    pub(crate) fn constant(&self) -> Ident {
        Ident::new(&self.name.to_uppercase(), self.ident.span())
    }
}

/// Makes `async fn m(..) -> T` what an `async fn` in an implementation satisfies and a stub can run on any thread.
pub(crate) fn desugar(function: &mut TraitItemFn) {
    if function.sig.asyncness.take().is_none() {
        return;
    }
    let output: Type = match &function.sig.output {
        ReturnType::Default => syn::parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    };
    function.sig.output = syn::parse_quote_spanned! {output.span()=>
        -> impl ::core::future::Future<Output = #output> + ::core::marker::Send
    };
    if let Some(body) = &function.default {
        let block: Block = syn::parse_quote!({ async move #body });
        function.default = Some(block);
    }
}

fn check_signature(sig: &Signature, errors: &mut Errors) {
    if !sig.generics.params.is_empty() {
        errors.add(
            &sig.generics,
            "a remote method cannot be generic: both ends must know every type",
        );
    }
    if let Some(clause) = &sig.generics.where_clause {
        errors.add(clause, "a remote method cannot have a where clause");
    }
    if let Some(token) = &sig.constness {
        errors.add(token, "a remote method cannot be const");
    }
    if let Some(token) = &sig.unsafety {
        errors.add(token, "a remote method cannot be unsafe");
    }
    if let Some(abi) = &sig.abi {
        errors.add(abi, "a remote method has no ABI");
    }
    if let Some(dots) = &sig.variadic {
        errors.add(dots, "a remote method cannot be variadic");
    }
    let name = sig.ident.unraw().to_string();
    if RESERVED.contains(&&*name) {
        errors.add(
            &sig.ident,
            format!("every proxy has a `{name}` of its own: choose another name"),
        );
    }
}

fn arguments(sig: &Signature, errors: &mut Errors) -> (bool, Vec<Argument>) {
    let mut inputs = sig.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(receiver)) => {
            let plain = receiver.colon_token.is_none() && receiver.mutability.is_none();
            let lent = matches!(&receiver.reference, Some((_, None)));
            if !(plain && lent) {
                errors.add(
                    receiver,
                    "a remote method takes `&self`: many callers share the service",
                );
            }
        }
        Some(other) => errors.add(other, "a remote method takes `&self` first"),
        None => errors.add(&sig.ident, "a remote method takes `&self`"),
    }
    let mut takes_caller = false;
    let mut args = Vec::new();
    for (index, input) in inputs.enumerate() {
        let FnArg::Typed(PatType { attrs, pat, ty, .. }) = input else {
            continue;
        };
        if let Some(attr) = attrs.first() {
            errors.add(attr, "attributes on arguments have no meaning here");
        }
        if types::is_caller(ty) {
            if index == 0 {
                takes_caller = true;
            } else {
                errors.add(ty, "the caller comes right after `&self`");
            }
            continue;
        }
        let Some(ident) = plain_name(pat) else {
            errors.add(pat, "an argument of a remote method has a plain name");
            continue;
        };
        let (lent, owned) = types::argument(ty, errors);
        args.push(Argument {
            ident,
            ty: (**ty).clone(),
            lent,
            owned,
        });
    }
    (takes_caller, args)
}

fn plain_name(pat: &Pat) -> Option<Ident> {
    match pat {
        Pat::Ident(pat) if pat.by_ref.is_none() && pat.subpat.is_none() => Some(pat.ident.clone()),
        _ => None,
    }
}

fn is_unit(output: &ReturnType) -> bool {
    match output {
        ReturnType::Default => true,
        ReturnType::Type(_, ty) => {
            matches!(types::plain(ty), Type::Tuple(tuple) if tuple.elems.is_empty())
        }
    }
}

/// Our attributes of one method.
#[derive(Default)]
struct Ours {
    one_way: Option<Span>,
    idempotent: Option<Span>,
    code: Option<(u32, Span)>,
    wait: Option<Duration>,
}

impl Ours {
    fn take(attrs: &mut Vec<Attribute>, errors: &mut Errors) -> Self {
        let mut ours = Self::default();
        attrs.retain(|attr| {
            let taken = ours.read(attr);
            errors.take(taken).is_some_and(|taken| !taken)
        });
        ours
    }

    /// Whether it is one of ours.
    fn read(&mut self, attr: &Attribute) -> syn::Result<bool> {
        let Some(name) = attr.path().get_ident() else {
            return Ok(false);
        };
        let span = attr.path().span();
        let twice = match name.to_string().as_str() {
            "oneway" => {
                attr.meta.require_path_only()?;
                self.one_way.replace(span).is_some()
            }
            "idempotent" => {
                attr.meta.require_path_only()?;
                self.idempotent.replace(span).is_some()
            }
            "code" => self.code.replace(read_code(attr)?).is_some(),
            "wait" => self.wait.replace(read_wait(attr)?).is_some(),
            _ => return Ok(false),
        };
        if twice {
            return Err(syn::Error::new(span, format!("`{name}` is given twice")));
        }
        Ok(true)
    }
}

fn read_code(attr: &Attribute) -> syn::Result<(u32, Span)> {
    let code: LitInt = attr.parse_args()?;
    match code.base10_parse() {
        Ok(number @ 1..=0x00ff_ffff) => Ok((number, code.span())),
        _ => Err(syn::Error::new(code.span(), "a code is in 1..=0x00ff_ffff")),
    }
}

fn read_wait(attr: &Attribute) -> syn::Result<Duration> {
    let wait: Lit = attr.parse_args()?;
    let seconds = match &wait {
        Lit::Int(seconds) => seconds.base10_parse::<u32>().ok().map(f64::from),
        Lit::Float(seconds) => seconds.base10_parse::<f64>().ok(),
        _ => None,
    };
    match seconds {
        Some(seconds) if seconds > 0.0 && seconds <= 3000.0 => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(syn::Error::new(
            wait.span(),
            "a wait is a number of seconds, above 0 and at most 3000",
        )),
    }
}
