;; Dot products of int8 rows with int16 queries, exact in int32: what a scan of the index spends its time with.
;; `npm run build:kernel` makes kernel-bytes.ts of it.
;;
;; Rows lie `$stride` bytes apart (a multiple of 16), queries 2·$stride, both padded with zeros. Results go to `$out` as
;; int32. Whoever calls sees to it that no sum leaves int32 (quantisation.ts).
(module
  (import "env" "memory" (memory 1 65536 shared))

  (func $sum (param $lanes v128) (result i32)
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $lanes)) (i32x4.extract_lane 1 (local.get $lanes)))
      (i32.add (i32x4.extract_lane 2 (local.get $lanes)) (i32x4.extract_lane 3 (local.get $lanes)))))

  ;; One row after the other, which is what a processor fetches ahead best: four rows at once took twice the time where
  ;; they come from memory.
  (func (export "dotsOfOne") (param $row i32) (param $rows i32) (param $stride i32) (param $query i32) (param $out i32)
    (local $end i32) (local $stop i32) (local $q i32) (local $lanes v128)
    (local.set $end (i32.add (local.get $row) (i32.mul (local.get $rows) (local.get $stride))))
    (loop $each
      (local.set $stop (i32.add (local.get $row) (local.get $stride)))
      (local.set $q (local.get $query))
      (local.set $lanes (v128.const i32x4 0 0 0 0))
      (loop $columns
        (local.set $lanes (i32x4.add (local.get $lanes) (i32x4.add
          (i32x4.dot_i16x8_s (v128.load8x8_s (local.get $row)) (v128.load (local.get $q)))
          (i32x4.dot_i16x8_s (v128.load8x8_s offset=8 (local.get $row)) (v128.load offset=16 (local.get $q))))))
        (local.set $q (i32.add (local.get $q) (i32.const 32)))
        (local.set $row (i32.add (local.get $row) (i32.const 16)))
        (br_if $columns (i32.lt_u (local.get $row) (local.get $stop))))
      (i32.store (local.get $out) (call $sum (local.get $lanes)))
      (local.set $out (i32.add (local.get $out) (i32.const 4)))
      (br_if $each (i32.lt_u (local.get $row) (local.get $end)))))

  ;; Two rows with two queries at a time, for rows that are in a cache: half as many loads. More of either did not pay.
  ;; Results go by row. An odd row is computed with what lies behind it.
  (func (export "dotsOfTwo") (param $row i32) (param $rows i32) (param $stride i32) (param $query i32) (param $out i32)
    (local $end i32) (local $next i32) (local $stop i32) (local $q i32) (local $p i32)
    (local $lo v128) (local $hi v128) (local $x0 v128) (local $x1 v128) (local $y0 v128) (local $y1 v128)
    (local $xq v128) (local $xp v128) (local $yq v128) (local $yp v128)
    (local.set $end (i32.add (local.get $row) (i32.mul (local.get $rows) (local.get $stride))))
    (loop $pairs
      (local.set $next (i32.add (local.get $row) (local.get $stride)))
      (local.set $stop (local.get $next))
      (local.set $q (local.get $query))
      (local.set $p (i32.add (local.get $q) (i32.shl (local.get $stride) (i32.const 1))))
      (local.set $xq (v128.const i32x4 0 0 0 0))
      (local.set $xp (v128.const i32x4 0 0 0 0))
      (local.set $yq (v128.const i32x4 0 0 0 0))
      (local.set $yp (v128.const i32x4 0 0 0 0))
      (loop $columns
        (local.set $x0 (v128.load8x8_s (local.get $row)))
        (local.set $x1 (v128.load8x8_s offset=8 (local.get $row)))
        (local.set $y0 (v128.load8x8_s (local.get $next)))
        (local.set $y1 (v128.load8x8_s offset=8 (local.get $next)))
        (local.set $lo (v128.load (local.get $q)))
        (local.set $hi (v128.load offset=16 (local.get $q)))
        (local.set $xq (i32x4.add (local.get $xq) (i32x4.add (i32x4.dot_i16x8_s (local.get $x0) (local.get $lo)) (i32x4.dot_i16x8_s (local.get $x1) (local.get $hi)))))
        (local.set $yq (i32x4.add (local.get $yq) (i32x4.add (i32x4.dot_i16x8_s (local.get $y0) (local.get $lo)) (i32x4.dot_i16x8_s (local.get $y1) (local.get $hi)))))
        (local.set $lo (v128.load (local.get $p)))
        (local.set $hi (v128.load offset=16 (local.get $p)))
        (local.set $xp (i32x4.add (local.get $xp) (i32x4.add (i32x4.dot_i16x8_s (local.get $x0) (local.get $lo)) (i32x4.dot_i16x8_s (local.get $x1) (local.get $hi)))))
        (local.set $yp (i32x4.add (local.get $yp) (i32x4.add (i32x4.dot_i16x8_s (local.get $y0) (local.get $lo)) (i32x4.dot_i16x8_s (local.get $y1) (local.get $hi)))))
        (local.set $q (i32.add (local.get $q) (i32.const 32)))
        (local.set $p (i32.add (local.get $p) (i32.const 32)))
        (local.set $next (i32.add (local.get $next) (i32.const 16)))
        (local.set $row (i32.add (local.get $row) (i32.const 16)))
        (br_if $columns (i32.lt_u (local.get $row) (local.get $stop))))
      (i32.store (local.get $out) (call $sum (local.get $xq)))
      (i32.store offset=4 (local.get $out) (call $sum (local.get $xp)))
      (i32.store offset=8 (local.get $out) (call $sum (local.get $yq)))
      (i32.store offset=12 (local.get $out) (call $sum (local.get $yp)))
      (local.set $out (i32.add (local.get $out) (i32.const 16)))
      (local.set $row (local.get $next))
      (br_if $pairs (i32.lt_u (local.get $row) (local.get $end))))))
