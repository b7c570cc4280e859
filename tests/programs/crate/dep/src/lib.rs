pub fn twice<T: Clone>(x: &T) -> (T, T) {
    (x.clone(), x.clone())
}
