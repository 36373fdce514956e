// A Go program whose library gets the environment, clocks, random numbers, files and standard output
// from WASI preview 1, and which calls the interfaces of its world by the canonical ABI. It answers
// with what it has found, a line for each.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"
	"unsafe"
)

type handle = uint32

// result<own<T>> of 32-bit values
type resultHandle struct {
	err   uint8
	value handle
}

// option<string>. A pointer of Go has 64 bits here, which is not what the ABI means by one.
type optionString struct {
	some   uint8
	at     uint32
	length uint32
}

//go:wasmimport wasi:http/types@0.2.0 [constructor]fields
func newFields() handle

//go:wasmimport wasi:http/types@0.2.0 [method]incoming-request.path-with-query
func pathWithQuery(request handle, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [resource-drop]incoming-request
func dropRequest(request handle)

//go:wasmimport wasi:http/types@0.2.0 [constructor]outgoing-response
func newResponse(headers handle) handle

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-response.body
func responseBody(response handle, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [static]response-outparam.set
func setResponse(out handle, err uint32, response handle, a uint32, b uint64, c, d, e, f uint32)

//go:wasmimport wasi:http/types@0.2.0 [method]outgoing-body.write
func bodyWrite(body handle, result unsafe.Pointer)

//go:wasmimport wasi:http/types@0.2.0 [static]outgoing-body.finish
func finishBody(body handle, trailers uint32, fields handle, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.0 [method]output-stream.blocking-write-and-flush
func writeAndFlush(stream handle, at unsafe.Pointer, length uint32, result unsafe.Pointer)

//go:wasmimport wasi:io/streams@0.2.0 [resource-drop]output-stream
func dropStream(stream handle)

// What the host has been given to write to, which nothing else refers to yet.
var allocated = map[unsafe.Pointer][]uint64{}

//go:wasmexport cabi_realloc
func cabiRealloc(old unsafe.Pointer, oldSize, align, size uint32) unsafe.Pointer {
	block := make([]uint64, size/8+1)
	at := unsafe.Pointer(unsafe.SliceData(block))
	copy(unsafe.Slice((*byte)(at), size), unsafe.Slice((*byte)(old), oldSize))
	delete(allocated, old)
	allocated[at] = block
	return at
}

func require(err uint8) {
	if err != 0 {
		panic("a call of the host failed")
	}
}

func write(stream handle, text string) {
	// 4096 bytes are what blocking-write-and-flush takes at once.
	for len(text) > 0 {
		piece := text[:min(4096, len(text))]
		var result [12]byte
		writeAndFlush(stream, unsafe.Pointer(unsafe.StringData(piece)), uint32(len(piece)), unsafe.Pointer(&result))
		require(result[0])
		text = text[len(piece):]
	}
}

//go:wasmexport wasi:http/incoming-handler@0.2.0#handle
func handleRequest(request, out handle) {
	var path optionString
	pathWithQuery(request, unsafe.Pointer(&path))
	dropRequest(request)
	report := report(strings.Clone(unsafe.String((*byte)(unsafe.Pointer(uintptr(path.at))), path.length)))
	clear(allocated)

	var body, stream resultHandle
	response := newResponse(newFields())
	responseBody(response, unsafe.Pointer(&body))
	require(body.err)
	setResponse(out, 0, response, 0, 0, 0, 0, 0, 0)
	bodyWrite(body.value, unsafe.Pointer(&stream))
	require(stream.err)
	write(stream.value, report)
	dropStream(stream.value)
	var finished [40]byte
	finishBody(body.value, 0, 0, unsafe.Pointer(&finished))
	require(finished[0])
}

func report(path string) string {
	fmt.Println("from fmt")
	fmt.Fprintln(os.Stderr, "from stderr")
	var random [16]byte
	_, err := rand.Read(random[:])
	zeros := strings.Count(string(random[:]), "\000")
	word, missing := os.ReadFile("/data/word.txt")
	// Enough garbage that memory grows and is collected, between the pages of the adapter's.
	var kept [][]byte
	for i := range 64 {
		kept = append(kept, make([]byte, 1<<16))
		kept[i][i] = byte(i)
	}
	runtime.GC()
	sum := 0
	for i := range kept {
		sum += int(kept[i][i])
	}
	return fmt.Sprintf(
		"path=%s\nword=%s\ntime=%d\nzeros=%d %v\nfile=%s %v\nsum=%d\nargs=%q\n",
		path, os.Getenv("WORD"), time.Now().Unix(), zeros, err, word, missing, sum, os.Args,
	)
}

func main() {}
