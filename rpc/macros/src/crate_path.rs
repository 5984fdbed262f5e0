//! Where generated code finds the crate whose names it uses.

use proc_macro_crate::{FoundCrate, crate_name};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::Path;

/// Crates that have a `__private`, the one applications use first.
const CRATES: [(&str, &str); 2] = [("softbus", "softbus"), ("softbus-rpc", "softbus_rpc")];

/// The path the user gave, or else that of the first of [`CRATES`] which the user's `Cargo.toml` names, under the name
/// it has there.
///
/// `attribute` is how the user could give it.
pub(crate) fn find(given: Option<&Path>, attribute: &str) -> syn::Result<TokenStream> {
    if let Some(path) = given {
        return Ok(quote!(#path));
    }
    for (package, library) in CRATES {
        let name = match crate_name(package) {
            // Tests, examples and documentation of the crate itself; inside, `extern crate self` makes it true.
            Ok(FoundCrate::Itself) => library.to_owned(),
            Ok(FoundCrate::Name(name)) => name,
            Err(_) => continue,
        };
        let name = Ident::new(&name, Span::call_site());
        return Ok(quote!(::#name));
    }
    let message = format!("softbus is not among the dependencies; say where it is: `{attribute}`");
    Err(syn::Error::new(Span::call_site(), message))
}
