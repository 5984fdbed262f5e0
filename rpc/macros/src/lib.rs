//! `#[remote_interface]`: a typed client and a service side from a trait. `#[derive(Parcelable)]`: what it can carry.

mod crate_path;
mod describe;
mod fingerprint;
mod parcelable;
mod parse;
mod proxy;
mod stub;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, ItemTrait, TraitItem, parse_macro_input, parse_quote};

use parse::{Interface, Options};

#[doc = include_str!("../remote_interface.md")]
#[proc_macro_attribute]
pub fn remote_interface(
    options: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let options = parse_macro_input!(options as Options);
    let item = parse_macro_input!(item as ItemTrait);
    expand(&options, item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

#[doc = include_str!("../parcelable.md")]
#[proc_macro_derive(Parcelable, attributes(parcelable))]
pub fn parcelable(item: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let item = parse_macro_input!(item as DeriveInput);
    parcelable::expand(&item)
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

fn expand(options: &Options, item: ItemTrait) -> syn::Result<TokenStream> {
    let interface = Interface::new(options, item)?;
    let krate = crate_path::find(
        options.crate_path.as_ref(),
        "#[remote_interface(crate = path)]",
    )?;
    let rt = quote!(#krate::__private);
    let service = service(&interface);
    let proxy = proxy::expand(&interface, &rt);
    let stub = stub::expand(&interface, &rt);
    Ok(quote! {
        #service
        #proxy
        #stub
    })
}

/// The trait itself, as services implement it.
fn service(interface: &Interface) -> TokenStream {
    let mut item = interface.item.clone();
    let doc = format!(
        "\n\nCalled through [`{}`], offered with [`{}`]. An implementation writes `async fn` where this says \
         `impl Future`.",
        interface.proxy, interface.stub,
    );
    item.attrs.push(parse_quote!(#[doc = #doc]));
    // A program that only calls does not use it.
    item.attrs.push(parse_quote!(#[allow(dead_code)]));
    item.colon_token.get_or_insert_with(Default::default);
    for bound in [
        parse_quote!(::core::marker::Send),
        parse_quote!(::core::marker::Sync),
        parse_quote!('static),
    ] {
        item.supertraits.push(bound);
    }
    for entry in &mut item.items {
        if let TraitItem::Fn(function) = entry {
            parse::desugar(function);
        }
    }
    quote!(#item)
}

/// Nobody writes what is generated, so nobody is to be told what is wrong with its style. A program uses one side of
/// an interface, or some of its methods.
fn allow() -> TokenStream {
    quote!(#[allow(dead_code, deprecated, unused_variables, clippy::all, clippy::pedantic)])
}
