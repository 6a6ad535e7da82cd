//! Inserts mutants into source code: every mutated expression checks whether its mutant is active.

use std::collections::HashMap;
use std::fmt;

use quote::{ToTokens as _, quote};
use syn::spanned::Spanned as _;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, BinOp, Block, Expr, ExprBinary, ExprRepeat, ExprUnary, ImplItemConst, ImplItemFn, ItemConst,
    ItemEnum, ItemFn, ItemImpl, ItemMod, ItemStatic, Pat, PatGuard, ReturnType, Signature, Type, UnOp,
    parse_quote,
};

/// One change of the code.
pub(crate) struct Mutant {
    /// Number, from 1.
    pub(crate) number: u32,
    /// File, function and change, with an ordinal if there are several: independent of line numbers.
    pub(crate) name: String,
    line: usize,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (line {})", self.number, self.name, self.line)
    }
}

/// Mutants of all files so far, and the position of the visitor.
#[derive(Default)]
pub(crate) struct Schema {
    pub(crate) mutants: Vec<Mutant>,
    file: String,
    /// Type of the enclosing `impl` block.
    impl_type: Option<String>,
    function: Option<String>,
    seen: HashMap<String, u32>,
}

impl Schema {
    /// The source text with mutants inserted.
    pub(crate) fn apply(&mut self, name: &str, text: &str) -> syn::Result<String> {
        let mut file = syn::parse_file(text)?;
        name.clone_into(&mut self.file);
        self.visit_file_mut(&mut file);
        Ok(file.into_token_stream().to_string())
    }

    /// Registers a mutant and returns its number.
    fn number(&mut self, line: usize, change: &str) -> u32 {
        let number = u32::try_from(self.mutants.len()).unwrap_or(u32::MAX).saturating_add(1);
        let function = self.function.as_deref().unwrap_or("-");
        let mut name = format!("{} {function}: {change}", self.file);
        let count = self.seen.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name = format!("{name}, {count}");
        }
        self.mutants.push(Mutant { number, name, line });
        number
    }

    /// Inserts mutants that return a constant instead of running the body.
    fn function(&mut self, signature: &mut Signature, block: &mut Block) {
        let outer = self.function.take();
        let impl_type = self.impl_type.as_ref().map(|name| format!("{name}::")).unwrap_or_default();
        self.function = Some(format!("{impl_type}{}", signature.ident));
        let before = self.mutants.len();
        visit_mut::visit_block_mut(self, block);
        let values = match &signature.output {
            ReturnType::Default => vec![parse_quote!(())],
            ReturnType::Type(_, output) => values(output),
        };
        let line = signature.span().start().line;
        for value in values.into_iter().rev() {
            let value: Expr = value;
            let number = self.number(line, &format!("returns {}", value.to_token_stream()));
            block.stmts.insert(0, parse_quote!(if crate::mutant(#number) { return #value; }));
        }
        if self.mutants.len() > before {
            // A function that reads the environment cannot be const.
            signature.constness = None;
        }
        self.function = outer;
    }

    fn binary(&mut self, expression: &ExprBinary, plain: &ExprBinary) -> Expr {
        let line = plain.op.span().start().line;
        let text = |op: &BinOp| op.to_token_stream().to_string();
        let mut result = Expr::Binary(expression.clone());
        for op in others(&plain.op) {
            let number = self.number(line, &format!("{} for {}", text(&op), text(&plain.op)));
            let ExprBinary { left, right, .. } = plain;
            // A statement that begins with `if` or `match` ends with its block; parentheses make it an
            // operand.
            result = parse_quote!((if crate::mutant(#number) { (#left) #op #right } else { (#result) }));
        }
        result
    }

    /// Mutates a match arm: it never matches (if a wildcard arm exists), or its guard is always true or
    /// false.
    fn arm(&mut self, pattern: &mut Pat, plain: &Pat, has_rest: bool) {
        let line = plain.span().start().line;
        let what: String = plain.to_token_stream().to_string().chars().take(60).collect();
        match pattern {
            Pat::Guard(guarded) if !has_let(&guarded.guard) => {
                let always = self.number(line, &format!("guard of {what} is true"));
                let never = self.number(line, &format!("guard of {what} is false"));
                let plain = guarded.guard.clone();
                *guarded.guard = parse_quote!(crate::mutant(#always) || (!crate::mutant(#never) && (#plain)));
            }
            Pat::Wild(_) | Pat::Guard(_) => {}
            _ if has_rest => {
                let number = self.number(line, &format!("no arm {what}"));
                *pattern = Pat::Guard(PatGuard {
                    attrs: Vec::new(),
                    pat: Box::new(pattern.clone()),
                    if_token: Default::default(),
                    guard: parse_quote!(!crate::mutant(#number)),
                });
            }
            _ => {}
        }
    }
}

impl VisitMut for Schema {
    fn visit_item_fn_mut(&mut self, item: &mut ItemFn) {
        self.function(&mut item.sig, &mut item.block);
    }

    fn visit_impl_item_fn_mut(&mut self, item: &mut ImplItemFn) {
        self.function(&mut item.sig, &mut item.block);
    }

    fn visit_item_impl_mut(&mut self, item: &mut ItemImpl) {
        let impl_type = match &*item.self_ty {
            Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
            _ => None,
        };
        let outer = std::mem::replace(&mut self.impl_type, impl_type);
        visit_mut::visit_item_impl_mut(self, item);
        self.impl_type = outer;
    }

    fn visit_item_mod_mut(&mut self, item: &mut ItemMod) {
        let is_test =
            item.attrs.iter().any(|attribute| attribute.to_token_stream().to_string().contains("cfg (test)"));
        if !is_test {
            visit_mut::visit_item_mod_mut(self, item);
        }
    }

    fn visit_expr_mut(&mut self, expression: &mut Expr) {
        let plain = expression.clone();
        match (&mut *expression, &plain) {
            (Expr::Binary(binary), Expr::Binary(plain)) => {
                visit_mut::visit_expr_binary_mut(self, binary);
                if !has_let(&plain.left)
                    && !has_let(&plain.right)
                    && !is_text(&plain.left)
                    && !is_text(&plain.right)
                {
                    *expression = self.binary(&binary.clone(), plain);
                }
            }
            (
                Expr::Unary(unary),
                Expr::Unary(ExprUnary { op: op @ (UnOp::Not(_) | UnOp::Neg(_)), expr, .. }),
            ) => {
                visit_mut::visit_expr_unary_mut(self, unary);
                let text = op.to_token_stream().to_string();
                let number = self.number(op.span().start().line, &format!("nothing for {text}"));
                let inner = unary.clone();
                *expression = parse_quote!((if crate::mutant(#number) { #expr } else { #inner }));
            }
            (Expr::Match(inner), Expr::Match(plain)) => {
                visit_mut::visit_expr_match_mut(self, inner);
                let has_rest = plain.arms.iter().any(|arm| matches!(arm.pat, Pat::Wild(_)));
                for (arm, plain) in inner.arms.iter_mut().zip(&plain.arms) {
                    self.arm(&mut arm.pat, &plain.pat, has_rest);
                }
            }
            (other, _) => visit_mut::visit_expr_mut(self, other),
        }
    }

    fn visit_expr_repeat_mut(&mut self, expression: &mut ExprRepeat) {
        self.visit_expr_mut(&mut expression.expr);
    }

    fn visit_pat_mut(&mut self, pattern: &mut Pat) {
        if let Pat::Guard(guarded) = pattern {
            self.visit_expr_mut(&mut guarded.guard);
        }
    }

    // Constant expressions cannot read the environment and are not mutated.
    fn visit_item_const_mut(&mut self, _: &mut ItemConst) {}
    fn visit_item_static_mut(&mut self, _: &mut ItemStatic) {}
    fn visit_item_enum_mut(&mut self, _: &mut ItemEnum) {}
    fn visit_impl_item_const_mut(&mut self, _: &mut ImplItemConst) {}
    fn visit_type_mut(&mut self, _: &mut Type) {}
    fn visit_attribute_mut(&mut self, _: &mut Attribute) {}
}

/// True for a `let` condition, which binds names for the conditions after it and cannot be moved.
fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn is_text(expression: &Expr) -> bool {
    matches!(expression, Expr::Lit(lit) if matches!(lit.lit, syn::Lit::Str(_)))
}

/// Constant values of a return type.
fn values(output: &Type) -> Vec<Expr> {
    let text = output.to_token_stream().to_string();
    match output {
        Type::Tuple(tuple) if tuple.elems.is_empty() => vec![parse_quote!(())],
        Type::Reference(_) if matches!(text.as_str(), "& str" | "& 'static str") => vec![parse_quote!("")],
        Type::Path(path) => {
            let Some(segment) = path.path.segments.last() else { return Vec::new() };
            let mut inner = Vec::new();
            if let syn::PathArguments::AngleBracketed(arguments) = &segment.arguments
                && let Some(syn::GenericArgument::Type(first)) = arguments.args.first()
            {
                inner = values(first);
            }
            match segment.ident.to_string().as_str() {
                "bool" => vec![parse_quote!(true), parse_quote!(false)],
                "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i64" => {
                    vec![parse_quote!(0), parse_quote!(1)]
                }
                "String" => vec![parse_quote!(String::new())],
                "Vec" => vec![parse_quote!(Vec::new())],
                "Option" => {
                    let some = inner.into_iter().map(|value| parse_quote!(Some(#value)));
                    std::iter::once(parse_quote!(None)).chain(some).collect()
                }
                // fmt::Result has no parameters.
                "Result" if segment.arguments.is_empty() => vec![parse_quote!(Ok(()))],
                "Result" => inner.into_iter().map(|value| parse_quote!(Ok(#value))).collect(),
                _ => Vec::new(),
            }
        }
        _ => Vec::new(),
    }
}

/// Replacements for an operator.
fn others(op: &BinOp) -> Vec<BinOp> {
    let texts: &[_] = match op {
        BinOp::Eq(_) => &[quote!(!=)],
        BinOp::Ne(_) => &[quote!(==)],
        BinOp::And(_) => &[quote!(||)],
        BinOp::Or(_) => &[quote!(&&)],
        BinOp::Lt(_) => &[quote!(<=), quote!(>)],
        BinOp::Le(_) => &[quote!(<), quote!(>)],
        BinOp::Gt(_) => &[quote!(>=), quote!(<)],
        BinOp::Ge(_) => &[quote!(>), quote!(<)],
        BinOp::Add(_) => &[quote!(-)],
        BinOp::Sub(_) => &[quote!(+)],
        BinOp::Mul(_) => &[quote!(+)],
        BinOp::Div(_) => &[quote!(*)],
        BinOp::Rem(_) => &[quote!(/)],
        BinOp::Shl(_) => &[quote!(>>)],
        BinOp::Shr(_) => &[quote!(<<)],
        BinOp::BitAnd(_) => &[quote!(|)],
        BinOp::BitOr(_) => &[quote!(&)],
        BinOp::BitXor(_) => &[quote!(|)],
        BinOp::AddAssign(_) => &[quote!(-=)],
        BinOp::SubAssign(_) => &[quote!(+=)],
        BinOp::BitOrAssign(_) => &[quote!(&=)],
        BinOp::BitAndAssign(_) => &[quote!(|=)],
        _ => &[],
    };
    texts.iter().map(|text| parse_quote!(#text)).collect()
}
