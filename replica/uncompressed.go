package replica

import (
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/status"
)

// uncompressed registers services which take no compressed messages. gRPC unpacks up to 4 MB of what may
// be 4 kB, and what comes is counted. Which encodings there are is the process's: the exporter of traces
// brings one.
type uncompressed struct{ grpc.ServiceRegistrar }

// RegisterService implements grpc.ServiceRegistrar.
func (u uncompressed) RegisterService(service *grpc.ServiceDesc, by any) {
	own := *service
	own.Methods, own.Streams = slices.Clone(service.Methods), slices.Clone(service.Streams)
	for i := range own.Methods {
		handle := own.Methods[i].Handler
		own.Methods[i].Handler = func(by any, ctx context.Context, read func(any) error, around grpc.UnaryServerInterceptor) (any, error) {
			if err := refuseCompressed(ctx); err != nil {
				return nil, err
			}
			return handle(by, ctx, read, around)
		}
	}
	for i := range own.Streams {
		handle := own.Streams[i].Handler
		own.Streams[i].Handler = func(by any, stream grpc.ServerStream) error {
			if err := refuseCompressed(stream.Context()); err != nil {
				return err
			}
			return handle(by, stream)
		}
	}
	u.ServiceRegistrar.RegisterService(&own, by)
}

// refuseCompressed refuses a call whose messages may be compressed, before one is read.
func refuseCompressed(ctx context.Context) error {
	stream, ok := grpc.ServerTransportStreamFromContext(ctx).(interface{ RecvCompress() string })
	if !ok {
		return status.Error(codes.Internal, "it is not known whether messages are compressed")
	}
	if by := stream.RecvCompress(); by != "" && by != encoding.Identity {
		return status.Errorf(codes.Unimplemented, "messages are compressed by %.64q; send them as they are", by)
	}
	return nil
}
