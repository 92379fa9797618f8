package pgroup
import ("testing";"context";"os";"time";"slices";"fmt"
"github.com/pkshim/pkshim/pgroup/spawn")
func TestMain(m *testing.M){ Init(); os.Exit(m.Run()) }
func TestSmoke(t *testing.T){
 ctx:=context.Background()
 var ds, dn, dst, dw, dc []time.Duration
 for i:=0;i<300;i++{
 t0:=time.Now()
 g,err:=New(ctx); if err!=nil{t.Fatal(err)}
 t1:=time.Now()
 p,err:=g.Start(ctx,&spawn.Command{Args:[]string{"/bin/true"},Stdio:[3]int{0,1,2}}); if err!=nil{t.Fatal(err)}
 t2:=time.Now()
 e,err:=p.Wait(ctx); if err!=nil||e.Code!=0{t.Fatal(e,err)}
 t3:=time.Now()
 p.Close()
 if err:=g.Wait(ctx);err!=nil{t.Fatal(err)}
 if i==0 { s,err:=g.Stats(); fmt.Println(*s.CPU.UsageUsec,s.Memory,s.Sources,err,e); 
 b,_:=os.ReadFile(fmt.Sprintf("/proc/%d/status",g.keeper.Pid())); fmt.Println(string(b)) }
 t4:=time.Now()
 if err:=g.Close(ctx);err!=nil{t.Fatal(err)}
 ds=append(ds,t3.Sub(t0)); dn=append(dn,t1.Sub(t0)); dst=append(dst,t2.Sub(t1)); dw=append(dw,t3.Sub(t2)); dc=append(dc,time.Since(t4))
 }
 for n,d:=range map[string][]time.Duration{"all":ds,"new":dn,"start":dst,"wait":dw,"close":dc}{ slices.Sort(d); fmt.Println(n,d[0],d[len(d)/2],d[len(d)*99/100]) }
}
