//! The arguments of the attribute itself.

use syn::{
    Ident, LitStr, Path, Token,
    parse::{Parse, ParseStream},
};

/// The longest descriptor that a binding on the wire has.
const MAX_DESCRIPTOR: usize = 1024;

/// `descriptor = "..."`, `crate = path`.
#[derive(Default)]
pub(crate) struct Options {
    descriptor: Option<LitStr>,
    pub(crate) crate_path: Option<Path>,
}

impl Options {
    /// The descriptor given, or `<package>.<Trait>`.
    pub(super) fn descriptor(&self, ident: &Ident) -> syn::Result<String> {
        let Some(given) = &self.descriptor else {
            return match std::env::var("CARGO_PKG_NAME") {
                Ok(package) => Ok(format!("{package}.{ident}")),
                Err(_) => {
                    let message = "not built by cargo; give a descriptor: `#[remote_interface(descriptor = \"..\")]`";
                    Err(syn::Error::new(ident.span(), message))
                }
            };
        };
        let descriptor = given.value();
        if descriptor.is_empty() || descriptor.len() > MAX_DESCRIPTOR || descriptor.contains('\0') {
            let message = format!("a descriptor has 1 to {MAX_DESCRIPTOR} bytes, none of them NUL");
            return Err(syn::Error::new(given.span(), message));
        }
        Ok(descriptor)
    }
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let look = input.lookahead1();
            if look.peek(Token![crate]) {
                let key: Token![crate] = input.parse()?;
                input.parse::<Token![=]>()?;
                let path = Path::parse_mod_style(input)?;
                if options.crate_path.replace(path).is_some() {
                    return Err(syn::Error::new(key.span, "`crate` is given twice"));
                }
            } else if look.peek(descriptor) {
                let key: descriptor = input.parse()?;
                input.parse::<Token![=]>()?;
                if options.descriptor.replace(input.parse()?).is_some() {
                    return Err(syn::Error::new(key.span, "`descriptor` is given twice"));
                }
            } else {
                return Err(look.error());
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

syn::custom_keyword!(descriptor);
