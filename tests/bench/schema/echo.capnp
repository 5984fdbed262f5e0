@0xd5ab7c1f0e2b9a47;

interface Echo {
  echo @0 (payload :Data) -> (payload :Data);
  put @1 (payload :Data) -> ();
  notify @2 (payload :Data) -> stream;
}
