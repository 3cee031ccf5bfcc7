// Package oss stores one object in a bucket of Alibaba Cloud's Object Storage
// Service with the temporary grant that another service handed out for it.
//
// A [Client] knows three ways, see [Method]: a form (the way of small
// pictures), a multipart upload (the way of everything large) and a plain PUT.
// [Client.Upload] tries them in the order the caller gives and goes on to the
// next only where the storage refuses one of them; it never does so when the
// grant has ended, when the network fails or when the caller has left.
//
// What the package promises:
//
//   - A grant that names a host outside aliyuncs.com is refused before anything
//     is sent; redirects are not followed.
//   - The object is read where it lies: nothing is buffered, whatever its size.
//     After Upload has returned, neither the body nor the progress function is
//     touched again.
//   - What is reported as stored has been compared by its CRC-64, as a whole and
//     in each part.
//   - A multipart upload that does not succeed is aborted, also when the caller
//     left or the body panicked.
//
// Only signatures of version 4 are used. The package does not log; its errors,
// see [Error], contain no key, no token and no signature.
package oss
