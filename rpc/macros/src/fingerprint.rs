//! What both ends compare: the descriptor, and a hash for each method.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{ext::IdentExt, spanned::Spanned};

use crate::{
    allow,
    parse::{Argument, Interface, Method, Output, Owned},
};

/// `impl Proxy` for the proxy.
pub(crate) fn expand(interface: &Interface, rt: &TokenStream) -> TokenStream {
    let Interface {
        proxy,
        methods,
        descriptor,
        ..
    } = interface;
    let allow = allow();
    let count = methods.len();
    let hashes = methods.iter().map(|method| {
        let Method {
            cfgs,
            name,
            args,
            output,
            ..
        } = method;
        let constant = method.constant();
        let args = args.iter().map(|arg| {
            let owned = arg.owned.tokens(rt);
            quote_spanned!(arg.ty.span()=> <#owned as #rt::Parcelable>::type_name())
        });
        let (span, result) = (output.span(), output.tokens());
        let result = quote_spanned!(span=> <#result as #rt::Parcelable>::type_name());
        quote! {
            #(#cfgs)*
            methods.push(#rt::MethodHash {
                code: #proxy::#constant,
                hash: #rt::method_hash(#name, &[#(#args),*], &#result),
            });
        }
    });
    quote! {
        #allow
        impl #rt::Proxy for #proxy {
            const DESCRIPTOR: &'static str = #descriptor;

            fn interface() -> &'static #rt::Interface {
                static INTERFACE: #rt::LazyLock<#rt::Interface> = #rt::LazyLock::new(|| {
                    let mut methods = #rt::Vec::with_capacity(#count);
                    #(#hashes)*
                    #rt::Interface::new(#descriptor, methods)
                });
                &INTERFACE
            }

            fn as_object(&self) -> &#rt::RemoteObject {
                &self.object
            }
        }
    }
}

impl Output {
    /// The type as it is sent.
    pub(crate) fn tokens(&self) -> TokenStream {
        match self {
            Self::Plain(ty) | Self::Alias(ty) => quote!(#ty),
            Self::Result(types) => {
                let [value, error] = &**types;
                quote!(::core::result::Result<#value, #error>)
            }
        }
    }

    fn span(&self) -> Span {
        match self {
            Self::Plain(ty) | Self::Alias(ty) => ty.span(),
            Self::Result(types) => types[0].span(),
        }
    }
}

impl Argument {
    /// As descriptions have it.
    pub(crate) fn name(&self) -> String {
        self.ident.unraw().to_string()
    }
}

impl Owned {
    pub(crate) fn tokens(&self, rt: &TokenStream) -> TokenStream {
        match self {
            Self::String => quote!(#rt::String),
            Self::Bytes => quote!(#rt::Bytes),
            Self::Vec(item) => quote!(#rt::Vec<#item>),
            Self::Same(ty) => quote!(#ty),
        }
    }
}
